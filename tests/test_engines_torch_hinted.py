"""The engine of a net that is shown a mask: the frame before reaches the net with its picture, object by object."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtrace.engine import Recalled  # noqa: E402
from voxtrace.engines import open_engine  # noqa: E402
from voxtrace.engines.correcting import clicks, near_clicks  # noqa: E402
from voxtrace.engines.looks import looks  # noqa: E402
from voxtrace.engines.torch import TorchEngine, TorchFeatures, laid_out  # noqa: E402
from voxtrace.memory import MOST_MEMORIES, SelfSorting  # noqa: E402
from voxtrace.model.config import CONFIGS  # noqa: E402
from voxtrace.model.resnet import ResNetConfig  # noqa: E402
from voxtrace.model.sam2 import SHARPENING, Sam2, Shown  # noqa: E402
from voxtrace.prompts import BOX_START, BOX_STOP, NEGATIVE, POSITIVE, Box, FramePrompt, Point  # noqa: E402
from voxtrace.sessions import SetSession, VideoSession, VolumeSession  # noqa: E402
from voxtrace.tracking import Tracked  # noqa: E402
from voxtrace.volume import Video, Volume  # noqa: E402

pytestmark = pytest.mark.torch

SHAPE = (40, 56)


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    """voxtrace-small with a shallow trunk; every object is taken to be there, so that nothing ends early."""
    torch.manual_seed(0)
    net = Sam2(replace(CONFIGS["voxtrace-small"].at(32), trunk=ResNetConfig(depths=(1, 1, 1, 1))))
    with torch.no_grad():
        net.refiner.presence[2].bias.fill_(50.0)
    return TorchEngine(net.requires_grad_(False), device="cpu")


def frames(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, *SHAPE, 3), np.uint8))


def box(x0: int, y0: int, x1: int, y1: int, mask: np.ndarray | None = None) -> FramePrompt:
    return FramePrompt(np.float32([[x0, y0], [x1, y1]]), np.int32([BOX_START, BOX_STOP]), mask)


def test_a_frame_is_followed_from_the_mask_and_the_picture_of_the_one_before(engine):
    first, second, third = engine.encode(frames(3))
    (start,) = engine.remember(first, engine.begin(first, [box(5, 6, 30, 25)]), 0, prompted=True)
    (between,) = engine.remember(second, engine.begin(second, [box(8, 8, 33, 27)]), 1, prompted=False)
    recalled = Recalled(((start, 0), (between, 1)), ((start, 2), (between, 1)), 15, ((between, 1.0),))
    found = engine.follow(third, [recalled])

    net = engine.model
    memory = net.recall([(start.memory, 0), (between.memory, 1)], [(start.pointer, 2), (between.pointer, 1)], 15)
    assert second.encoded.image is not None
    expected = net.follow(third.encoded, memory, Shown(between.logits, second.encoded.image))
    assert found.heads.logits.equal(expected.logits)
    assert not found.heads.logits.equal(net.follow(third.encoded, memory).logits)


def test_a_box_is_as_large_to_the_net_as_it_is_shown(engine):
    """One pixel of a small window covers many of the net's: a box of one pixel must not shrink to a line."""
    small, large = (engine.encode([np.full((side, side, 3), 90, np.uint8)])[0] for side in (8, 32))
    narrow, scaled = engine.begin(small, [box(2, 3, 3, 5)]), engine.begin(large, [box(8, 12, 12, 20)])
    assert narrow.heads.logits.equal(scaled.heads.logits)


def test_without_a_frame_before_the_memories_alone_lead(engine):
    first, second = engine.encode(frames(2))
    (start,) = engine.remember(first, engine.begin(first, [box(5, 6, 30, 25)]), 0, prompted=True)
    found = engine.follow(second, [Recalled(((start, 0),), ((start, 4),), 15)])
    expected = engine.model.follow(second.encoded, engine.model.recall([(start.memory, 0)], [(start.pointer, 4)], 15))
    assert found.heads.logits.equal(expected.logits)


def test_objects_with_and_without_a_frame_before_do_not_disturb_each_other(engine):
    first, second, third = engine.encode(frames(3))
    one, other = engine.remember(first, engine.begin(first, [box(5, 6, 30, 25), box(20, 2, 50, 30)]), 0, prompted=True)
    (later,) = engine.remember(second, engine.begin(second, [box(1, 1, 20, 20)]), 1, prompted=True)
    recalls = [
        Recalled(((e, 0),), ((e, time),), 15, ((e, 1.0),) if time == 1 else ())
        for e, time in ((one, 2), (later, 1), (other, 2))
    ]
    together = engine.follow(third, recalls).logits
    for index, recalled in enumerate(recalls):
        assert np.allclose(together[index], engine.follow(third, [recalled]).logits[0], atol=1e-4)


def test_begun_and_given_masks_of_one_frame_come_back_in_the_frames_size(engine):
    (features,) = engine.encode(frames(1))
    given = np.zeros(SHAPE, bool)
    given[3:17, 20:41] = True
    click = FramePrompt(np.float32([[30.5, 10.5]]), np.int32([POSITIVE]), given)
    decoded = engine.begin(features, [box(5, 6, 30, 25), FramePrompt(mask=given), click])
    assert decoded.logits.shape == (3, *SHAPE)
    assert np.array_equal(decoded.logits[1] > 0, given)
    assert len(engine.remember(features, decoded, 0, prompted=True)) == 3


def test_a_correction_is_decoded_from_the_mask_so_far_as_certain_as_a_given_one(engine):
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)  # the net's own size: nothing is scaled
    (features,) = engine.encode([frame])
    so_far = np.zeros((32, 32), bool)
    so_far[3:17, 12:27] = True
    found = engine.begin(features, [FramePrompt(np.float32([[20.5, 10.5]]), np.int32([NEGATIVE]), so_far)])
    hint = torch.from_numpy(np.where(so_far, 10, -10).astype(np.float32))[None, None]
    point, label = np.float32([[[20, 10]]]), np.int32([[NEGATIVE]])
    redrawn = engine.model.begin(features.encoded, torch.from_numpy(point), torch.from_numpy(label), hint)
    expected = near_clicks(redrawn.logits.numpy(), hint.numpy(), clicks(point, label, 32, 32))
    assert np.allclose(found.logits, expected[:, 0], atol=1e-5)
    assert not np.allclose(found.logits, redrawn.logits[:, 0], atol=1e-5), "what was clicked is sure"


def test_where_colours_tell_the_objects_of_a_set_they_are_drawn_first(engine):
    """One object is told by its colour; the other, half of a grey picture, is not, and is answered as it is without."""
    rows, columns = np.mgrid[:32, :32]
    first, second = np.full((2, 32, 32, 3), 90, np.uint8)
    known, there = (rows - 12) ** 2 + (columns - 10) ** 2 < 30, (rows - 20) ** 2 + (columns - 22) ** 2 < 40
    first[known], second[there] = (200, 30, 20), (200, 30, 20)
    features, other = engine.encode([first, second])
    masks = [FramePrompt(mask=known), FramePrompt(mask=columns < 16)]
    entries = engine.remember(features, engine.begin(features, masks), 0, prompted=True)
    recalled = [Recalled(((e, None),), ((e, 1),), 1, ((e, 1.0),), placed=False) for e in entries]
    found = engine.follow(other, recalled).heads

    memory, shown = laid_out(engine.model, recalled)
    assert features.encoded.image is not None
    images = [(engine.model.sharpened(s.logits).numpy(), s.image.numpy()) for s in shown]
    drawn, reliable = looks(other.encoded.image.numpy(), images)
    assert reliable.tolist() == [True, False]
    plain = engine.model.follow(other.encoded, memory, *shown)
    mask = torch.from_numpy(drawn) / SHARPENING
    again = engine.model.follow(other.encoded, memory, Shown(mask, other.encoded.image))
    for got, alone, led in zip(found[:4], plain[:4], again[:4], strict=True):
        assert got[0].equal(led[0]), "the answer is taken whole"
        assert got[1].equal(alone[1])
    assert not found.logits[0].equal(plain.logits[0])


@pytest.mark.parametrize("memory", [None, SelfSorting(recall_count=2)], ids=["fifo", "selfsorting"])
def test_a_volume_is_followed_both_ways_with_corrections(engine, memory):
    work = VolumeSession(engine, Volume(np.stack(frames(5))[..., 0]), memory=memory, zoom=None)
    work.add(Box.on_slice(2, 6, 5, 25, 30), "a").add(Box.on_slice(3, 2, 20, 30, 50), "b").run()
    result = work.correct(Point(1, 12, 16), "a").run()
    assert all((~np.isnan(result.confidence[name])).all() for name in "ab")


def test_a_set_of_pictures_of_any_size_can_be_followed(engine):
    pictures = [frames(1)[0], frames(2)[1][:30], frames(3)[2][:, :41]]
    result = SetSession(engine, pictures).add(Box.on_slice(0, 6, 5, 25, 30)).run()
    assert [mask.shape for mask in result.frames] == [(40, 56), (30, 56), (40, 41)]


def test_the_table_of_times_has_a_row_for_each_frame_that_fifo_looks_back_to_and_one_for_prompted_frames(engine):
    assert len(engine.model.maskmem_tpos_enc) == MOST_MEMORIES + 1


@pytest.mark.parametrize("memory", [None, SelfSorting(size=4)], ids=["fifo", "selfsorting"])
def test_what_is_kept_while_following_does_not_grow_with_the_way(engine, memory, monkeypatch):
    """At SAM 2's size an encoded frame has 16 MB: kept until the end of a film, they fill any memory."""
    monkeypatch.setattr("voxtrace.feature_cache.encoded.CACHE_BYTES", 2 * 16 * engine.image_size**2)
    work = VolumeSession(engine, Volume(np.stack(frames(20))[..., 0]), memory=memory, zoom=None)
    alive = {}

    def count(done: int, total: int) -> None:
        if done in (5, 18):
            gc.collect()
            kinds = [type(thing) for thing in gc.get_objects()]
            alive[done] = kinds.count(TorchFeatures), kinds.count(Tracked)

    work.add(Box.on_slice(0, 6, 5, 25, 30)).run(count)
    assert alive[18] == alive[5]
    assert alive[5][0] == 2, "as many as the cache holds"


def test_an_object_that_was_out_of_sight_for_three_frames_is_found_at_once():
    rows, columns = np.mgrid[:96, :96]
    disc, random = (rows - 48) ** 2 + (columns - 46) ** 2 < 14**2, np.random.default_rng(0)
    film = []
    for frame in range(10):
        grey = 70 + 6 * random.standard_normal((96, 96)) + 110 * (disc & (frame not in (4, 5, 6)))
        film.append(np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2))
    work = VideoSession(open_engine("voxtrace-small", "cpu"), Video(film, (10, 96, 96)))
    found = [mask > 0 for mask in work.add(Box.on_slice(0, 34, 32, 63, 61)).run().frames]
    assert [bool(mask.any()) for mask in found] == [True] * 4 + [False] * 3 + [True] * 3
    overlap = [(mask & disc).sum() / (mask | disc).sum() for mask in found if mask.any()]
    assert min(overlap) > 0.9
