"""MedSAM and LiteMedSAM on graphs answer as on PyTorch; the graphs are here the modules that an export traces."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_engines_torch_sam1 import PADDED, SQUASHED  # noqa: E402
from torch_runtime import sam1_graph_engine  # noqa: E402
from voxtrace.engine import Recalled  # noqa: E402
from voxtrace.engines import fitting, torch_sam1  # noqa: E402
from voxtrace.engines.torch_sam1 import TorchSam1Engine  # noqa: E402
from voxtrace.errors import ModelError, PromptError  # noqa: E402
from voxtrace.model.sam1 import Sam1  # noqa: E402
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SHAPES = [(40, 56), (100, 37), (300, 200)]


@pytest.fixture(scope="module", params=[SQUASHED, PADDED], ids=["squashed", "padded"])
def engines(request):
    torch.manual_seed(0)
    net = Sam1(request.param).eval().requires_grad_(False)
    return TorchSam1Engine(net, device="cpu"), sam1_graph_engine(net)


def frame(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def box(*corners: float) -> FramePrompt:
    return FramePrompt(np.array(corners, np.float32).reshape(2, 2), np.array([BOX_START, BOX_STOP], np.int32))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["Squash", "PadLongest"])
def test_frames_are_fitted_alike(kind, shape):
    """Scaled values are rounded to whole grey values: a rounding error may become a grey value, on few pixels."""
    picture = frame(shape)
    ours = getattr(fitting, kind)(64).image(picture)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    theirs = getattr(torch_sam1, kind)(64).images(tensor).numpy()
    assert ours.dtype == np.float32
    assert np.mean(np.abs(ours - theirs) > 1e-5) < 1e-3
    assert np.abs(ours - theirs).max() < 0.01


def test_boxes_are_decoded_and_carried_on_alike(engines):
    answers = []
    for engine in engines:
        first, second = engine.encode([frame((40, 56))])[0], engine.encode([frame((40, 56), 1)])[0]
        begun = engine.begin(first, [box(5, 6, 30, 25), box(20, 3, 50, 35)])
        kept = engine.remember(first, begun, 0, prompted=True)
        followed = engine.follow(second, [Recalled((), ((entry, 1),)) for entry in kept])
        answers.append((begun, followed))
    for one, other in zip(*answers, strict=True):
        assert one.logits.shape == other.logits.shape == (2, 40, 56)
        assert np.abs(one.logits - other.logits).max() < 0.05
        assert np.abs(one.iou - other.iou).max() < 0.01


def test_only_boxes_are_understood(engines):
    engine = engines[1]
    features = engine.encode([frame((40, 56))])[0]
    with pytest.raises(PromptError, match="boxes only"):
        engine.begin(features, [FramePrompt(np.float32([[3, 4]]), np.int32([1]))])
    with pytest.raises(ModelError, match="another engine"):
        engine.begin(engines[0].encode([frame((40, 56))])[0], [box(5, 6, 30, 25)])
