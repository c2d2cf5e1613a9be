"""The engine of MedSAM and LiteMedSAM: how frames are fitted, where boxes land, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from voxtrace.engines.boxes import BOXES_AT_ONCE  # noqa: E402
from voxtrace.engines.torch_sam1 import PadLongest, Squash, TorchSam1Engine, area_weights  # noqa: E402
from voxtrace.errors import ModelError, PromptError  # noqa: E402
from voxtrace.model.mask_decoder import Masks  # noqa: E402
from voxtrace.model.sam1 import Sam1, Sam1Config  # noqa: E402
from voxtrace.model.tinyvit import TinyVitConfig  # noqa: E402
from voxtrace.model.vit_sam1 import Sam1VitConfig  # noqa: E402
from voxtrace.prompts import FramePrompt  # noqa: E402

pytestmark = pytest.mark.torch

SQUASHED = Sam1Config("squashed", Sam1VitConfig(128, 24, 2, depth=1, global_blocks=(0,)), dim=32, mlp_dim=48)
PADDED = Sam1Config(
    "padded",
    TinyVitConfig(32, (8, 16, 20, 24), (1, 1, 1, 1), (2, 4, 5, 6), (3, 3, 5, 3)),
    keep_aspect=True,
    dim=32,
    mlp_dim=48,
)
FRAME = (40, 60)


class BoxPainter(nn.Module):
    """A net that answers with the box itself: 1 on every pixel whose centre it holds, -1 elsewhere."""

    def __init__(self, config: Sam1Config) -> None:
        super().__init__()
        self.config = config
        self.asked: list[int] = []

    def encode(self, images: Tensor) -> Tensor:
        return images.mean((2, 3), keepdim=True)

    def decode(self, embedding: Tensor, points_xy: Tensor, labels: Tensor) -> Masks:
        self.asked.append(len(points_xy))
        places = torch.arange(self.config.image_size) + 0.5
        x0, y0 = points_xy[:, 0, :, None, None].unbind(1)
        x1, y1 = (points_xy[:, 1, :, None, None] + 1).unbind(1)
        inside = (places >= x0) & (places <= x1) & (places[:, None] >= y0) & (places[:, None] <= y1)
        logits = (2.0 * inside - 1)[:, None].expand(-1, 4, -1, -1)
        count = len(points_xy)
        return Masks(logits, torch.full((count, 4), 1.5), torch.zeros(count, 4, 1), torch.full((count, 1), 10.0))


def frame(seed: int = 0, shape: tuple[int, int] = FRAME) -> np.ndarray:
    return np.random.default_rng(seed).integers(30, 200, (*shape, 3), dtype=np.uint8)


def box(y0: float, x0: float, y1: float, x1: float) -> FramePrompt:
    return FramePrompt(np.float32([[x0, y0], [x1, y1]]), np.int32([2, 3]))


def click(y: float, x: float) -> FramePrompt:
    return FramePrompt(np.float32([[x, y]]), np.int32([1]))


@pytest.fixture(params=[SQUASHED, PADDED], ids=["medsam's fit", "litemedsam's fit"])
def engine(request: pytest.FixtureRequest) -> TorchSam1Engine:
    torch.manual_seed(0)
    return TorchSam1Engine(Sam1(request.param), "cpu")


@pytest.fixture(params=[SQUASHED, PADDED], ids=["medsam's fit", "litemedsam's fit"])
def painter(request: pytest.FixtureRequest) -> TorchSam1Engine:
    return TorchSam1Engine(BoxPainter(request.param), "cpu")  # type: ignore[arg-type]


def test_masks_have_the_frame_s_size(engine):
    features = engine.encode([frame()])[0]
    decoded = engine.begin(features, [box(5, 10, 30, 50), box(0, 0, 40, 60)])
    assert features.shape == FRAME
    assert decoded.logits.shape == (2, *FRAME)
    assert decoded.logits.dtype == np.float32
    assert np.isfinite(decoded.logits).all()
    assert ((decoded.iou >= 0) & (decoded.iou <= 1)).all()
    assert (decoded.object_score > 0).all()


def test_a_frame_of_a_batch_is_encoded_as_if_alone(engine):
    together = engine.encode([frame(1), frame(2)])[1].key
    alone = engine.encode([frame(2)])[0].key
    assert np.abs(together - alone).max() < 1e-5


def test_a_box_lands_where_it_was_drawn(painter):
    decoded = painter.begin(painter.encode([frame()])[0], [box(8, 20, 32, 45)])
    rows, columns = np.nonzero(decoded.logits[0] > 0)
    found = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
    # LiteMedSAM's fit shows two frame pixels as one of its own.
    assert np.abs(found - [8, 20, 32, 45]).max() <= (1 if painter.image_size < 60 else 0)


def test_many_boxes_keep_their_order_and_are_decoded_in_groups(painter):
    boxes = [box(2 * i, 2 * i, 2 * i + 4, 2 * i + 6) for i in range(18)]
    mask = np.zeros(FRAME, bool)
    mask[3, 4] = True
    prompts = [*boxes[:7], FramePrompt(mask=mask), *boxes[7:]]
    decoded = painter.begin(painter.encode([frame()])[0], prompts)
    assert painter.model.asked == [BOXES_AT_ONCE, 2]
    middles = [np.argwhere(logits > 0).mean(0) for logits in decoded.logits]
    expected = [(2 * i + 1.5, 2 * i + 2.5) for i in range(18)]
    expected.insert(7, (3, 4))
    assert np.abs(np.array(middles) - expected).max() <= 1


def test_an_expected_iou_stays_between_0_and_1(painter):
    assert painter.begin(painter.encode([frame()])[0], [box(8, 20, 32, 45)]).iou.tolist() == [1.0]


def test_a_mask_alone_comes_back_as_it_was_given(engine):
    mask = np.random.default_rng(3).random(FRAME) > 0.5
    decoded = engine.begin(engine.encode([frame()])[0], [FramePrompt(mask=mask)])
    assert ((decoded.logits[0] > 0) == mask).all()


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        (click(5, 5), "a point:"),
        (box(5, 10, 30, 50).joined(click(5, 5)).joined(click(9, 9)), "2 points:"),
        (box(5, 10, 30, 50).joined(FramePrompt(mask=np.ones(FRAME, bool))), "a mask:"),
        (FramePrompt(), "a prompt without marks:"),
    ],
)
def test_what_is_not_one_box_is_refused_by_name(engine, prompt, named):
    features = engine.encode([frame()])[0]
    with pytest.raises(PromptError, match=f"trained with boxes only and does not understand {named}"):
        engine.begin(features, [prompt])


def test_it_does_not_follow_by_itself_and_sorts_no_memories(engine):
    features = engine.encode([frame()])[0]
    (entry,) = engine.remember(features, engine.begin(features, [box(5, 10, 30, 50)]), 0, True)
    assert not engine.follows
    with pytest.raises(ModelError, match="leave --memory out"):
        _ = entry.key
    with pytest.raises(ModelError, match="another engine"):
        engine.remember(features, object(), 0, True)


def test_features_of_another_engine_are_refused(engine):
    with pytest.raises(ModelError, match="another engine"):
        engine.begin(object(), [box(5, 10, 30, 50)])


@pytest.mark.parametrize("fit", [Squash(128), PadLongest(128)])
def test_each_image_is_stretched_to_its_own_range(fit):
    pair = torch.from_numpy(np.stack([frame(), frame() // 3])).permute(0, 3, 1, 2).float()
    images = fit.images(pair)
    assert images.shape == (2, 3, 128, 128)
    assert images.amin((1, 2, 3)).tolist() == [0, 0]
    assert images.amax((1, 2, 3)).tolist() == [1, 1]


@pytest.mark.parametrize("fit", [Squash(128), PadLongest(128)])
def test_a_constant_image_becomes_zero(fit):
    assert (fit.images(torch.full((1, 3, *FRAME), 77.0)) == 0).all()


def test_litemedsam_pads_the_shorter_side_with_zeros_after_stretching():
    images = PadLongest(128).images(torch.from_numpy(frame(shape=(100, 50))).permute(2, 0, 1)[None].float())
    assert (images[..., 64:] == 0).all()
    assert images[..., 63].max() > 0


def test_litemedsam_scales_both_directions_by_the_longest_side():
    assert PadLongest(256).scale_xy((512, 300)).tolist() == [0.5, 0.5]
    assert Squash(1024).scale_xy((512, 256)).tolist() == [4.0, 2.0]


def test_litemedsam_crops_the_padding_off():
    assert PadLongest(256).crop(torch.zeros(1, 1, 256, 256), (512, 300)).shape == (1, 1, 256, 150)


def test_a_line_of_pixels_still_has_one_row():
    assert PadLongest(256).images(torch.rand(1, 3, 1, 2000)).shape == (1, 3, 256, 256)


def test_area_weights_are_what_each_old_pixel_covers():
    expected = torch.tensor([[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]])
    assert (area_weights(3, 2) - expected).abs().max() < 1e-6
    assert (area_weights(2, 3) - torch.tensor([[1, 0], [0.5, 0.5], [0, 1]])).abs().max() < 1e-6
