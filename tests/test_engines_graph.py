"""The engine on graphs answers as PyTorch's does; its graphs are here the modules that an export traces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_engine import FakeEngine  # noqa: E402
from phantoms import phantom  # noqa: E402
from torch_runtime import graph_engine  # noqa: E402
from voxtrace.engine import Decoded, Features, Recalled  # noqa: E402
from voxtrace.engines.graph import GraphEngine  # noqa: E402
from voxtrace.engines.looks import looks  # noqa: E402
from voxtrace.engines.torch import TorchEngine  # noqa: E402
from voxtrace.errors import ModelError  # noqa: E402
from voxtrace.model.config import CONFIGS, Sam2Config  # noqa: E402
from voxtrace.model.hiera import HieraConfig  # noqa: E402
from voxtrace.model.resnet import ResNetConfig  # noqa: E402
from voxtrace.model.sam2 import Sam2  # noqa: E402
from voxtrace.prompts import BOX_START, BOX_STOP, Box, FramePrompt, Point  # noqa: E402
from voxtrace.sessions import SetSession, VolumeSession  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SHAPE = (40, 56)
HINTED = replace(CONFIGS["voxtrace-small"].at(32), trunk=ResNetConfig(depths=(1, 1, 1, 1)))
PLAIN = replace(
    CONFIGS["sam2.1_hiera_tiny"].at(64),
    trunk=HieraConfig(16, 1, (1, 1, 2, 1), (2,)),
    dim=32,
    memory_dim=16,
    mlp_dim=32,
    memory_layers=1,
)
Pair = tuple[TorchEngine, GraphEngine]


def both(config: Sam2Config) -> Pair:
    """The same random net on PyTorch and on graphs; every object is taken to be there, so that nothing ends early."""
    torch.manual_seed(0)
    net = Sam2(config).eval().requires_grad_(False)
    with torch.no_grad():
        head = net.refiner.presence[2] if config.hinted else net.sam_mask_decoder.pred_obj_score_head.layers[-1]
        head.bias.fill_(50.0)
    return TorchEngine(net, device="cpu"), graph_engine(net)


@pytest.fixture(scope="module", params=[HINTED, PLAIN], ids=["hinted", "plain"])
def engines(request: pytest.FixtureRequest) -> Pair:
    return both(request.param)


@pytest.fixture(scope="module")
def hinted() -> Pair:
    return both(HINTED)


def frames(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, *SHAPE, 3), np.uint8))


def box(x0: int, y0: int, x1: int, y1: int) -> FramePrompt:
    return FramePrompt(np.array([[x0, y0], [x1, y1]], np.float32), np.array([BOX_START, BOX_STOP], np.int32))


def click(x: int, y: int, mask: np.ndarray | None = None) -> FramePrompt:
    return FramePrompt(np.array([[x, y]], np.float32), np.array([1], np.int32), mask)


def disc(y: int, x: int, radius: int) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def assert_same(one: Decoded, other: Decoded, within: float = 2e-3) -> None:
    assert one.logits.shape == other.logits.shape
    assert other.logits.dtype == np.float32
    for first, second in zip(
        (one.logits, one.iou, one.object_score), (other.logits, other.iou, other.object_score), strict=True
    ):
        assert np.abs(first - second).max() < within


def test_frames_are_encoded_alike(engines):
    for one, other in zip(*(engine.encode(frames(2)) for engine in engines), strict=True):
        assert isinstance(other, Features)
        assert other.shape == SHAPE
        assert np.abs(one.key - other.key).max() < 1e-3


PROMPTS = {
    "boxes": [box(5, 6, 30, 25), box(20, 3, 50, 35)],
    "unequal layouts": [box(5, 6, 30, 25), click(9, 9), box(20, 3, 50, 35)],
    "one click": [click(30, 20)],
    "masks": [FramePrompt(mask=disc(15, 20, 8)), FramePrompt(mask=disc(30, 40, 5))],
    "a mask among clicks": [click(12, 30), FramePrompt(mask=disc(15, 20, 8))],
    "a mask corrected": [click(30, 20, disc(15, 20, 8)), click(40, 30, disc(18, 33, 11))],
}


@pytest.mark.parametrize("kind", PROMPTS)
def test_prompts_are_decoded_alike(engines, kind):
    prompts = PROMPTS[kind]
    assert_same(*(engine.begin(engine.encode(frames(1))[0], prompts) for engine in engines))


def test_a_given_mask_comes_back_as_it_is(engines):
    engine = engines[1]
    mask = disc(15, 20, 8)
    decoded = engine.begin(engine.encode(frames(1))[0], [FramePrompt(mask=mask), box(20, 3, 50, 35)])
    assert np.array_equal(decoded.logits[0] > 0, mask)
    assert set(np.unique(decoded.logits[0])) == {-10, 10}


def followed(engine: TorchEngine | GraphEngine, placed: bool, remembered: int) -> Decoded:
    """Two objects on a fourth frame; what they recall differs in layout. remembered: pointers and frames shown."""
    first, second, third, fourth = engine.encode(frames(4))
    starts = engine.remember(first, engine.begin(first, [box(5, 6, 30, 25), box(20, 3, 50, 35)]), 0, prompted=True)
    known = [Recalled(((start, 0),), ((start, 1),), 15, ((start, 1.0),)) for start in starts]
    later = engine.remember(second, engine.follow(second, known), 1, prompted=False)
    assert [entry.prompted for entry in (*starts, *later)] == [True, True, False, False]
    del third
    both_entries = [
        Recalled(
            ((start, 0), (new, 1 if placed else None)),
            ((start, 2), (new, 1))[:remembered],
            5,
            ((new, 1.0), (start, 0.5))[:remembered],
            placed,
        )
        for start, new in zip(starts, later, strict=True)
    ]
    alone = Recalled(((starts[0], 0),), ((starts[0], 2),)[:remembered], 5, ((starts[0], 1.0),)[:remembered], placed)
    return engine.follow(fourth, [both_entries[0], alone, both_entries[1]])


@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize("remembered", [0, 1, 2])
def test_objects_are_followed_alike(engines, placed, remembered):
    assert_same(*(followed(engine, placed, remembered) for engine in engines))


def test_memories_are_alike_and_of_the_frame(engines):
    remembered = []
    for engine in engines:
        features = engine.encode(frames(1))[0]
        remembered.append(engine.remember(features, engine.begin(features, [box(5, 6, 30, 25)]), 3, prompted=True)[0])
        assert np.array_equal(remembered[-1].image_key, features.key)
    one, other = remembered
    assert (other.frame, other.prompted) == (3, True)
    assert abs(one.object_score - other.object_score) < 1e-3
    assert abs(one.iou - other.iou) < 1e-4
    assert np.abs(np.sort(one.key) - np.sort(other.key)).max() < 1e-3, "the same numbers, in whatever order"


def test_a_volume_with_two_objects_is_walked_alike(hinted):
    scan = phantom((7, *SHAPE))
    labels = []
    for engine in hinted:
        work = VolumeSession(engine, scan)
        work.add(Box.on_slice(3, 8, 12, 30, 40), object="lesion")
        work.add(Point(2, 20, 20), object="other")
        labels.append(work.run().labels)
    assert len(np.unique(labels[0])) == 3
    assert np.mean(labels[0] != labels[1]) < 1e-3


def coloured(y: int, x: int) -> np.ndarray:
    """A red disc on white, with noise: its looks tell it."""
    picture = np.full((*SHAPE, 3), 240)
    picture[disc(y, x, 9)] = (180, 20, 40)
    return (picture + np.random.default_rng(y).integers(-9, 10, picture.shape)).clip(0, 255).astype(np.uint8)


def test_in_a_set_the_looks_of_an_object_are_drawn_alike(hinted):
    found = []
    for engine in hinted:
        work = SetSession(engine, [coloured(14, 16), coloured(24, 38)])
        found.append(work.add(Box.on_slice(0, 5, 7, 24, 26)).run().frames[1])
    assert found[0].any()
    assert np.mean(found[0] != found[1]) < 1e-3


def test_looks_change_the_answer_of_a_set(hinted, monkeypatch):
    """Else the test before would pass without them."""
    engine = hinted[1]
    asked = []

    def seen(*pictures):
        asked.append(looks(*pictures))
        return asked[-1]

    monkeypatch.setattr("voxtrace.engines.graph.looks", seen)
    first, second = engine.encode([coloured(14, 16), coloured(24, 38)])
    start = engine.remember(first, engine.begin(first, [FramePrompt(mask=disc(14, 16, 9))]), 0, prompted=True)[0]
    recalled = Recalled(((start, 0),), ((start, 0),), 15, ((start, 1.0),), placed=False)
    decoded = engine.follow(second, [recalled])
    assert asked[0][1].tolist() == [True]
    monkeypatch.setattr("voxtrace.engines.graph.looks", lambda *_: (asked[0][0], np.array([False])))
    assert np.abs(engine.follow(second, [recalled]).logits - decoded.logits).max() > 0.1


def test_only_graphs_that_are_needed_are_opened():
    engine = both(HINTED)[1]
    features = engine.encode(frames(1))[0]
    engine.begin(features, [click(30, 20)])
    engine.begin(features, [box(5, 6, 30, 25)])
    assert engine.runtime.opened == ["encode", "begin"]


def test_what_another_engine_made_is_refused(hinted):
    ours, theirs = hinted[1], FakeEngine()
    frame = frames(1)[0]
    features, strange = ours.encode([frame])[0], theirs.encode([frame])[0]
    decoded = theirs.begin(strange, [box(5, 6, 30, 25)])
    entry = theirs.remember(strange, decoded, 0, prompted=True)[0]
    with pytest.raises(ModelError, match="another engine"):
        ours.begin(strange, [box(5, 6, 30, 25)])
    with pytest.raises(ModelError, match="another engine"):
        ours.follow(features, [Recalled(((entry, 0),), ((entry, 0),))])
    with pytest.raises(ModelError, match="another engine"):
        ours.remember(features, decoded, 0, prompted=True)


def test_a_prompt_without_marks_cannot_be_decoded(hinted):
    engine = hinted[1]
    with pytest.raises(ModelError, match="without a click, box or mask"):
        engine.begin(engine.encode(frames(1))[0], [FramePrompt()])


def test_features_are_the_same_after_packing(engines):
    engine = engines[1]
    features = engine.encode(frames(1))[0]
    again = engine.unpack({name: array.copy() for name, array in engine.pack(features).items()}, features.shape)
    assert_same(engine.begin(features, [click(9, 9)]), engine.begin(again, [click(9, 9)]), within=1e-12)
    with pytest.raises(ValueError, match="embedding"):
        engine.unpack({}, SHAPE)
