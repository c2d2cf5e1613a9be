"""Training clips through a net: who is begun when, what is recalled, and that gradients go through it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from voxtrace import simulate  # noqa: E402
from voxtrace.engine import Recalled  # noqa: E402
from voxtrace.engines.torch import TorchEngine  # noqa: E402
from voxtrace.errors import InputError  # noqa: E402
from voxtrace.model.config import CONFIGS  # noqa: E402
from voxtrace.model.resnet import ResNetConfig  # noqa: E402
from voxtrace.model.sam2 import Sam2  # noqa: E402
from voxtrace.prompts import Recist, Scribble  # noqa: E402
from voxtrace.sessions import ImageSession  # noqa: E402
from voxtrace.train import marking  # noqa: E402
from voxtrace.train.clip import PromptMix, clip_losses  # noqa: E402
from voxtrace.train.losses import LossWeights, mean_loss  # noqa: E402
from voxtrace.train.marked_frames import corrected  # noqa: E402
from voxtrace.train.marking import first_marks, more_marks, stacked  # noqa: E402
from voxtrace.train.recalling import entries, followed, picked  # noqa: E402
from voxtrace.volume import Picture  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

CONFIG = replace(CONFIGS["voxtrace-small"].at(32), trunk=ResNetConfig(depths=(1, 1, 1, 1)))
BOX = PromptMix(box=1, box_and_clicks=0, clicks=0, mask=0, correction=0, box_jitter=0.0, hint=1.0)
MASK = replace(BOX, box=0, mask=1)


class Witness(Sam2):
    """A net that keeps what it is asked."""

    def __init__(self, config=CONFIG) -> None:
        super().__init__(config)
        self.asked: list[tuple] = []

    def encode(self, images):
        self.asked.append(("encode", len(images)))
        return super().encode(images)

    def begin(self, encoded, points_xy, labels, masks=None):
        self.asked.append(("begin", points_xy.tolist(), labels.tolist()))
        return super().begin(encoded, points_xy, labels, masks)

    def recall(self, memories, pointers, pointer_span=15):
        self.asked.append(("recall", len(memories[0][0]), [time for _, time in memories]))
        return super().recall(memories, pointers, pointer_span)

    def only(self, verb: str) -> list[tuple]:
        return [words[1:] for words in self.asked if words[0] == verb]


def net(expected_iou: float = 0.0) -> Witness:
    """Of random weights, with fixed norms; expected_iou: added to what it expects of its masks."""
    torch.manual_seed(0)
    made = Witness()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        made.sam_mask_decoder.iou_prediction_head.layers[-1].bias += expected_iou
    return made


def disc(y: float, x: float, radius: float = 4.5) -> np.ndarray:
    rows, columns = np.mgrid[:32, :32]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


NOTHING = np.zeros((32, 32), bool)


def clip_of(*objects: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Images (1, T, 3, 32, 32), which show the objects brightly on noise, and masks (1, O, T, 32, 32)."""
    truth = torch.from_numpy(np.array(objects))[None].float()
    noise = torch.randn(1, truth.shape[2], 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return 0.3 * noise + 2 * truth.amax(1)[:, :, None], truth


def losses(own: Sam2, images: Tensor, truth: Tensor, mix: PromptMix, way="clip", seed: int = 0) -> list[float]:
    found = clip_losses(own, images, truth, mix, LossWeights(), np.random.default_rng(seed), way)
    return [float(loss.total.detach()) for loss in found]


MOVING = [disc(15, 8 + 3 * time) for time in range(4)]


# Several objects


def test_an_object_is_begun_where_it_appears_and_a_frame_is_encoded_once_for_all():
    own = net()
    late = [NOTHING, NOTHING, disc(8, 22), disc(9, 22)]
    losses(own, *clip_of(MOVING, late), BOX)
    assert own.only("encode") == [(4,)]
    boxes = [points for points, _ in own.only("begin")]
    assert boxes == [[[[4, 11], [12, 19]]], [[[18, 4], [26, 12]]]]
    assert own.only("recall") == [(1, [0]), (1, [0, 1]), (1, [0, 2, 1]), (1, [0])]


def test_objects_that_begin_together_are_followed_in_one_batch():
    own = net()
    losses(own, *clip_of(MOVING, [disc(8, 22)] * 4), BOX)
    assert own.only("recall") == [(2, [0]), (2, [0, 1]), (2, [0, 2, 1])]


def test_a_place_without_an_object_changes_nothing():
    images, truth = clip_of(MOVING)
    empty = torch.cat([truth, torch.zeros_like(truth)], 1)
    assert losses(net(), images, empty, BOX) == losses(net(), images, truth[:, 0], BOX)


def test_an_object_of_few_pixels_is_begun_where_it_is_largest():
    own = net()
    speck = NOTHING.copy()
    speck[3, 4] = True
    larger = speck.copy()
    larger[3, 4:7] = True
    losses(own, *clip_of([speck, larger, speck]), BOX)
    assert [points for points, _ in own.only("begin")] == [[[[4, 3], [6, 3]]]]


# What is recalled


def test_an_objects_outcome_does_not_depend_on_the_batch():
    """One object with two memories beside one with a single memory: nothing is padded."""
    own = net().eval()
    images, truth = clip_of(MOVING)
    with torch.no_grad():
        frames = own.encode(images[0])
        marks = [own.begin_with_mask(frames.frame(t), truth[:, 0, t : t + 1]) for t in range(2)]
        known = [entries(own, frames.frame(t), marks[t], truth[0, :, t], t, prompted=True)[0] for t in range(2)]
        one = Recalled(((known[0], 0),), ((known[0], 0),), placed=False)
        two = Recalled(((known[0], 0), (known[1], None)), ((known[0], 0),), placed=False)
        together = followed(own, frames.frames(slice(1, 4)), [two, one, two])
        for row, recalled in enumerate([two, one, two]):
            alone = followed(own, frames.frame(1 + row), [recalled])
            assert torch.allclose(together.logits[row], alone.logits[0], atol=1e-4)
            assert torch.allclose(together.candidates.logits[row], alone.candidates.logits[0], atol=1e-4)


@pytest.mark.parametrize(
    ("memory", "expected_iou", "recalled"),
    [("self-sorting", 10, True), ("self-sorting", -10, False), ("none", 10, False)],
)
def test_gradients_go_through_pictures_that_the_bank_admits(memory, expected_iou, recalled):
    own = net(expected_iou)
    images, truth = clip_of([disc(15, 8), disc(9, 20), disc(20, 12)])
    images.requires_grad_()
    mix = replace(MASK, memory=memory)
    found = clip_losses(own, images, truth, mix, LossWeights(), np.random.default_rng(1), "set")
    found[-1].total.backward()
    moved = images.grad.abs().sum((0, 2, 3, 4)) > 0
    assert moved.tolist() == [True, recalled, True]


def test_in_a_set_only_the_first_picture_is_marked_and_memories_have_no_time():
    own = net(expected_iou=10)
    busy = replace(MASK, box=0.1, mask=0.9, second=1.0, correction_followed=1.0)
    losses(own, *clip_of([disc(15, 8), disc(9, 20), disc(20, 12), disc(12, 12)]), busy, "set")
    assert len(own.only("begin")) <= 1
    assert own.only("recall") == [(1, [0]), (1, [0, None]), (1, [0, None, None])]


def test_the_bank_draws_as_many_as_it_is_told_and_keeps_as_many_as_it_holds():
    pictures = [disc(15, 8), disc(9, 20), disc(20, 12), disc(12, 12), disc(16, 20), disc(8, 8)]
    few, small = net(expected_iou=10), net(expected_iou=10)
    losses(few, *clip_of(pictures), replace(MASK, memories=2), "set")
    losses(small, *clip_of(pictures), replace(MASK, bank=3), "set")
    assert [len(times) for _, times in few.only("recall")] == [1, 2, 3, 3, 3]
    assert [len(times) for _, times in small.only("recall")] == [1, 2, 3, 4, 4]


def test_a_set_followed_by_fifo_keeps_its_order():
    own = net(expected_iou=-10)
    losses(own, *clip_of(MOVING), replace(MASK, memory="fifo"), "set")
    assert own.only("recall") == [(1, [0]), (1, [0, 1]), (1, [0, 2, 1])]


def test_an_unknown_memory_is_refused():
    with pytest.raises(InputError, match=r"'lifo' is unknown; one of self-sorting, fifo, none"):
        PromptMix(memory="lifo")


# Marks


def test_no_round_of_corrections_is_refused():
    with pytest.raises(InputError, match="rounds is 0; a corrected frame has at least 1"):
        PromptMix(rounds=0)


def test_a_corrected_frame_is_recalled_as_a_marked_one():
    own = net()
    seen = losses(own, *clip_of(MOVING), replace(MASK, correction_followed=1.0, rounds=7), seed=2)
    clicks = [len(labels[0]) for _, labels in own.only("begin")]
    assert clicks == list(range(1, len(clicks) + 1)), "a click more in each round, and no box"
    assert len(seen) == 3 + len(clicks)
    assert own.only("recall")[-1][1].count(0) == 2


def test_a_second_frame_is_marked_ahead_and_not_followed():
    own = net()
    losses(own, *clip_of(MOVING), replace(BOX, second=1.0))
    assert len(own.only("begin")) == 2
    assert [times.count(0) for _, times in own.only("recall")] == [2, 2]


@pytest.mark.parametrize("kind", ["scribble", "recist"])
def test_marks_are_shown_to_the_net_as_a_session_shows_them(kind):
    mask = disc(14, 18, 7.5) & (np.arange(32) < 20)
    marks = first_marks(mask[None], kind, PromptMix(), np.random.default_rng(5))
    rng = np.random.default_rng(5)
    (y0, x0), (y1, x1) = simulate.recist(mask)[0]
    drawn = Recist(0, y0, x0, y1, x1) if kind == "recist" else Scribble.from_mask(simulate.scribble(mask, rng))
    own = net()
    picture = Picture(np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8))
    ImageSession(TorchEngine(own, "cpu"), picture, zoom=None).add(drawn).run()
    points, labels = stacked(marks, 32, torch.device("cpu"))
    assert own.only("begin")[0] == (points.tolist(), labels.tolist())


def test_a_recist_line_across_one_pixel_is_a_click():
    dot = NOTHING.copy()
    dot[5, 7] = True
    (mark,) = first_marks(dot[None], "recist", PromptMix(), np.random.default_rng(0))
    assert mark.labels.tolist() == [1]


def test_correcting_clicks_lie_where_the_mix_says():
    mask, guess = disc(12, 12, 6.5), disc(12, 20, 6.5)

    def clicks(mix: PromptMix) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        marked = first_marks(mask[None], "box", BOX, rng)
        made = [more_marks(marked, mask[None], guess[None], mix, rng)[0] for _ in range(60)]
        places = np.array([m.points_xy[-1] - 0.5 for m in made]).astype(int)
        return places[:, ::-1], np.array([m.labels[-1] for m in made])

    places, kinds = clicks(PromptMix())
    assert len({tuple(place) for place in places}) <= 8, "the middle of the larger error"
    places, kinds = clicks(PromptMix(random_clicks=1.0))
    wrong = mask ^ guess
    assert len({tuple(place) for place in places}) > 20
    assert all(wrong[y, x] for y, x in places)
    assert all(mask[y, x] == kind for (y, x), kind in zip(places, kinds, strict=True))
    assert set(kinds) == {0, 1}
    places, kinds = clicks(PromptMix(true_clicks=1.0))
    assert all(mask[y, x] for y, x in places)
    assert any(guess[y, x] for y, x in places)
    assert set(kinds) == {1}


# What a step's loss is


def test_a_step_counts_each_decoded_mask_once_whenever_its_object_appears():
    late = [NOTHING, NOTHING, disc(8, 22), disc(9, 22)]
    images, truth = clip_of(MOVING, late)

    def found(shown: Tensor) -> list:
        return clip_losses(net(), images, shown, BOX, LossWeights(), np.random.default_rng(0))

    one, other = found(truth[:, :1]), found(truth[:, 1:])
    assert (len(one), len(other)) == (4, 2)
    alone = torch.stack([loss.total for loss in one + other]).mean()
    assert float(mean_loss(found(truth)).detach()) == pytest.approx(float(alone.detach()), rel=1e-4)


# Gradients of what is recalled of marked frames


def test_gradients_of_a_followed_frame_reach_the_mask_that_was_drawn_on_the_marked_one():
    """As in SAM 2's training; what is remembered is cut to 0 and 1 as it is at inference."""
    own = net()
    images, truth = clip_of(MOVING)
    frame = own.encode(images[0, :1])
    heads = own.begin_with_mask(frame, truth[0, :, :1])
    drawn = (0.05 * heads.logits).requires_grad_()
    (entry,) = entries(own, frame, heads._replace(logits=drawn), truth[0, :, 0], 0, prompted=True)
    entry.memory.square().sum().backward()
    assert float(drawn.grad.abs().sum()) > 0
    own.eval()
    (used,) = entries(own, frame, heads, truth[0, :, 0], 0, prompted=True)
    assert torch.equal(entry.memory, used.memory)


def test_pointers_and_memories_agree_on_whether_the_object_is_there():
    own = net()
    images, truth = clip_of(MOVING, [NOTHING] * 4)
    rows = [0, 0, 1, 1]
    shown = truth[0, rows, 0]
    frame = own.encode(images[0, :1].expand(4, -1, -1, -1))
    heads = own.begin(frame, torch.tensor([[[8.0, 15.0]]]).expand(4, -1, -1), torch.ones(4, 1, dtype=torch.int64))
    guessed = torch.tensor([[5.0], [-5.0], [5.0], [-5.0]])
    absent = own.no_obj_ptr.expand(4, -1)
    pointer = torch.where(guessed > 0, own.obj_ptr_proj(heads.candidates.tokens[:, 0]), absent)
    made = entries(own, frame, heads._replace(object_score=guessed, pointer=pointer), shown, 0, prompted=False)
    assert [bool(torch.equal(entry.pointer, own.no_obj_ptr)) for entry in made] == [False, False, True, True]
    assert torch.allclose(made[0].pointer, made[1].pointer, atol=1e-5)


# Corrections, as a session makes them


def test_a_given_mask_is_corrected_by_clicks_on_it_and_no_box():
    own = net()
    losses(own, *clip_of(MOVING[:1]), replace(MASK, correction=1.0, rounds=3))
    for asked, (_, labels) in enumerate(own.only("begin"), 1):
        assert len(labels[0]) == asked
        assert set(labels[0]) <= {0, 1}


def test_where_nothing_was_found_the_click_comes_without_a_mask():
    """A session gives no mask that has no voxel."""
    own, given = net(), []

    def begin(encoded, points_xy, labels, masks=None):
        given.append((len(points_xy), masks is not None))
        return Sam2.begin(own, encoded, points_xy, labels, masks)

    own.begin = begin
    images, truth = clip_of([MOVING[0]], [disc(8, 22)])
    frames = picked(own.encode(images[0]), [0, 0])
    drawn = torch.stack([truth[0, 0] * 20 - 10, torch.full_like(truth[0, 1], -1024.0)])
    heads, (loss,) = corrected(
        own, frames, drawn, [marking.NOTHING] * 2, truth[0, :, 0], MASK, LossWeights(), np.random.default_rng(0)
    )
    assert given == [(1, True), (1, False)]
    assert heads.logits.shape == (2, 1, 32, 32)
    assert torch.isfinite(loss.total)
