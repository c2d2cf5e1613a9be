"""Nets are told no more than what is asked, and methods without weights do what their names say."""

from dataclasses import replace

import numpy as np
import pytest

from fake_engine import FakeEngine
from labelled import write_cases
from phantoms import lesion, phantom
from voxtrace import engines
from voxtrace.bench.asking import ask, parse_way
from voxtrace.bench.baselines import ellipse
from voxtrace.bench.grabcut import grabcut
from voxtrace.bench.methods import Net
from voxtrace.bench.simple import SIMPLE
from voxtrace.bench.truths import Target, open_case
from voxtrace.bench.walker import random_walker
from voxtrace.errors import PromptError
from voxtrace.eval.metrics import dice
from voxtrace.frames import VolumeFrames
from voxtrace.manifest import Case, read_manifest
from voxtrace.prompts import Box
from voxtrace.sessions import ImageSession
from voxtrace.volume import Picture

SHAPE = (12, 30, 35)
CASE = Case("s/c", "s", "volume", "ct", "i", "m", "semantic", "val")


def target() -> Target:
    """The phantom's lesion, marked on slice 7; it is on the slices 4..9."""
    mask = lesion(SHAPE)
    return Target(1, 12, 7, mask[7], tuple(range(12)), mask, (4, 10))


def question(way: str = "box", z_range: bool = False):
    return ask(parse_way(way), target(), "c", 0, z_range)


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(engines, "open_engine", lambda *_: fake)
    return fake


def test_a_known_z_range_hides_the_other_slices_and_keeps_the_window(engine):
    scan = phantom(SHAPE, modality="MR")  # percentiles: those of six slices would differ
    whole = Net("voxtrace-small").open(CASE, scan)(question())
    seen = engine.encoded
    assert seen > 6
    ranged = Net("voxtrace-small").open(CASE, scan)(question(z_range=True))
    assert engine.encoded - seen == 6
    assert np.array_equal(ranged[4:10], whole[4:10])
    assert not ranged[:4].any()
    assert not ranged[10:].any()


def test_objects_of_a_case_share_the_frames_that_were_encoded(engine):
    find = Net("voxtrace-small").open(CASE, phantom(SHAPE))
    first = find(question())
    encoded = engine.encoded
    assert np.array_equal(find(question()), first)
    assert engine.encoded == encoded


def test_an_object_that_broke_leaves_nothing_behind(engine, monkeypatch):
    find = Net("voxtrace-small").open(CASE, phantom(SHAPE))
    right = find(question())

    def broken(*_):
        raise RuntimeError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(engine, "begin", broken)
        with pytest.raises(RuntimeError):
            find(question("click"))
    assert np.array_equal(find(question()), right)
    assert len(engine.begun[-1]) == 1


def test_a_net_that_cannot_follow_is_asked_by_boxes_and_with_the_range_told(monkeypatch):
    monkeypatch.setattr(engines, "open_engine", lambda *_: FakeEngine(follows=False))
    net = Net("medsam")
    assert list(net.kinds) == ["image", "volume"]
    assert net.needs_range
    assert [way for way in ("box", "box-jitter", "mask", "click", "recist", "oneprompt") if net.takes(way)] == [
        "box",
        "box-jitter",
        "mask",
    ]


@pytest.mark.torch
def test_a_net_of_single_images_equals_pictures_asked_one_by_one(monkeypatch):
    """The marked slice by its tight box, then every slice of the range by the box of the last mask, 3 / 256 wider."""
    torch = pytest.importorskip("torch")
    from test_engines_torch_sam1 import PADDED, TorchSam1Engine
    from voxtrace.model.sam1 import Sam1

    torch.manual_seed(3)
    net = TorchSam1Engine(Sam1(PADDED), "cpu")
    monkeypatch.setattr(engines, "open_engine", lambda *_: net)
    scan, asked = phantom(SHAPE, modality="MR"), question(z_range=True)
    found = Net("litemedsam").open(CASE, scan)(asked)
    margin, frames, expected = 3 * SHAPE[2] / PADDED.image_size, VolumeFrames(scan), np.zeros(SHAPE, bool)
    (marked,) = asked.prompts
    for way in (range(7, 10), range(7, 3, -1)):
        box = marked
        for z in way:
            on_picture = replace(box, z0=0, z1=1)
            expected[z] = ImageSession(net, Picture(frames[z])).add(on_picture).run().mask(1)[0]
            box = widened(tight(expected[z]), margin) if expected[z].any() else marked
    assert np.array_equal(found, expected)
    assert expected[4:10].any((1, 2)).all()


def widened(box: Box, margin: float) -> Box:
    y1, x1 = min(box.y1 + margin, SHAPE[1]), min(box.x1 + margin, SHAPE[2])
    return Box.on_slice(0, max(box.y0 - margin, 0), max(box.x0 - margin, 0), y1, x1)


def test_ellipse_is_carried_through_the_told_range_or_as_far_as_it_is_wide():
    scan = phantom(SHAPE, spacing_mm=(3.0, 1.0, 2.0))
    told = SIMPLE["ellipse"].open(CASE, scan)(question(z_range=True))
    assert np.flatnonzero(told.any((1, 2))).tolist() == [4, 5, 6, 7, 8, 9]
    free = SIMPLE["ellipse"].open(CASE, scan)(question())
    radius_mm = np.sqrt(free[7].sum() * 1.0 * 2.0 / np.pi)
    reach = int(radius_mm / 3.0)
    assert np.flatnonzero(free.any((1, 2))).tolist() == list(range(7 - reach, min(7 + reach, 11) + 1))
    assert dice(free[7], target().marked) > 0.9


def test_carried_mask_is_the_given_one():
    found = SIMPLE["carried"].open(CASE, phantom(SHAPE))(question("mask", z_range=True))
    assert all(np.array_equal(found[z], target().marked) for z in range(4, 10))
    assert not found[3].any()


def test_in_a_video_the_mask_stays(tmp_path):
    case = next(c for c in read_manifest(write_cases(tmp_path)) if c.kind == "video")
    video, (film,) = open_case(case)
    found = SIMPLE["carried"].open(case, video)(ask(parse_way("mask"), film, case.id, 0))
    assert all(np.array_equal(frame, film.marked) for frame in found)


def test_a_click_is_no_box():
    with pytest.raises(PromptError, match="box"):
        SIMPLE["ellipse"].open(CASE, phantom(SHAPE))(question("click"))


def noisy_diamond() -> tuple[np.ndarray, np.ndarray, Box]:
    """Half of its box, so that an ellipse fits badly; in colours that overlap through noise."""
    y, x = np.mgrid[:90, :110]
    diamond = np.abs(y - 42) / 30 + np.abs(x - 60) / 40 < 1
    noise = np.random.default_rng(0).normal(0, 20, (90, 110, 3))
    frame = np.where(diamond[..., None], [150, 90, 60], [90, 110, 120]) + noise
    return frame.clip(0, 255).astype(np.uint8), diamond, tight(diamond)


def tight(mask: np.ndarray) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box.on_slice(0, rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)


@pytest.mark.parametrize(("segment", "least"), [(grabcut, 0.97), (random_walker, 0.8)])
def test_box_methods_follow_the_border_better_than_an_ellipse(segment, least):
    if segment is random_walker:
        pytest.importorskip("skimage", reason="scikit-image is not installed (voxtrace[eval])")
    frame, mask, box = noisy_diamond()
    found = segment(frame, box)
    assert dice(found, mask) > least > dice(ellipse(box, mask.shape), mask)
    outside = found.copy()
    outside[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = False
    assert not outside.any()
    assert np.array_equal(segment(frame, box), found)


@pytest.mark.parametrize("segment", [grabcut, random_walker])
@pytest.mark.parametrize("box", [Box.on_slice(0, 0, 0, 90, 110), Box.on_slice(0, 40, 50, 41, 51)])
def test_box_methods_survive_a_box_of_the_frame_and_of_a_pixel(segment, box):
    if segment is random_walker:
        pytest.importorskip("skimage", reason="scikit-image is not installed (voxtrace[eval])")
    found = segment(noisy_diamond()[0], box)
    assert found.shape == (90, 110)
    assert segment(np.zeros((90, 110, 3), np.uint8), box).shape == (90, 110)


def test_a_large_region_is_found_at_a_reduced_size():
    frame, diamond, _ = noisy_diamond()
    large, mask = frame.repeat(4, 0).repeat(4, 1), diamond.repeat(4, 0).repeat(4, 1)
    assert dice(grabcut(large, tight(mask)), mask) > 0.95
