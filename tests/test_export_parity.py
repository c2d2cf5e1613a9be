"""Exported graphs answer as the nets do, in onnxruntime and OpenVINO, for any number of objects and memories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxscript")

from torch import Tensor  # noqa: E402

from small_nets import small_net  # noqa: E402
from voxtrace.checkpoints import load  # noqa: E402
from voxtrace.engines.batching import MEAN, STD  # noqa: E402
from voxtrace.export.writing import write  # noqa: E402
from voxtrace.model.sam2 import Encoded, Sam2, Shown  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

TOLERANCE = 2e-5  # of the largest number
SLOW = pytest.mark.slow
FAMILIES = ["hinted", *(pytest.param(name, marks=SLOW) for name in ("sam2.1", "sam2", "efficienttam", "edgetam"))]
SAM1 = [pytest.param(name, marks=SLOW) for name in ("litemedsam", "medsam")]


class Both:
    """A folder's graphs in both runtimes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: dict[str, list[Callable[[dict[str, np.ndarray]], list[np.ndarray]]]] = {}

    def check(self, verb: str, expected: Sequence[Tensor], **inputs: Any) -> None:
        """Both answers are the expected ones."""
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        for run in self.runs.setdefault(verb, [_onnxruntime(self.folder, verb), _openvino(self.folder, verb)]):
            found = run(arrays)
            assert len(found) == len(expected)
            for got, want in zip(found, expected, strict=True):
                assert got.shape == tuple(want.shape)
                assert float(np.abs(got - want.numpy()).max()) <= TOLERANCE * float(want.abs().max())


def _onnxruntime(folder: Path, verb: str) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / f"{verb}.onnx", options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)


def _openvino(folder: Path, verb: str) -> Callable[[dict[str, np.ndarray]], list[np.ndarray]]:
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    request = openvino.Core().compile_model(folder / f"{verb}.onnx", "CPU", settings).create_infer_request()

    def run(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        request.infer(inputs)
        return [request.get_output_tensor(index).data.copy() for index in range(len(request.model_outputs))]

    return run


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Callable[[str], tuple[Any, Both]]:
    """A family's small net and its graphs; some of them keep their weights in float16."""

    @cache
    def of(family: str) -> tuple[Any, Both]:
        net, folder = small_net(family), tmp_path_factory.mktemp(family)
        half = family in ("sam2.1", "hinted", "litemedsam")
        if half:
            state = {k: v.half().float() if v.is_floating_point() else v for k, v in net.state_dict().items()}
            net.load_state_dict(state)
        write(folder, net, "small", {}, half)
        return net, Both(folder)

    return of


def encoded(net: Sam2, both: Both, count: int = 1) -> tuple[Encoded, dict[str, Tensor]]:
    """Frames through the net, checked, and the first one as the other graphs want it."""
    size = net.config.image_size
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, size, size)).astype(np.float32))
    mean, std = (255 * torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    found = net.encode((images - mean) / std)
    maps = [*found.high_res, *([] if found.image is None else [found.image])]
    both.check("encode", [found.embedding, *maps], images=images)
    first = found.frame(0)
    names = ("embedding", "high_res_0", "high_res_1") if found.high_res else ("embedding",)
    given = dict(zip(names, (first.embedding, *first.high_res), strict=True))
    return first, given if first.image is None else {**given, "image": first.image}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_encode(written, family, count):
    encoded(*written(family), count)


@pytest.mark.parametrize(("objects", "points"), [(1, 1), (2, 2), (3, 5)])
@pytest.mark.parametrize("family", FAMILIES)
def test_begin_with_clicks_and_boxes_with_and_without_a_mask(written, family, objects, points):
    net, both = written(family)
    frame, given = encoded(net, both)
    random = np.random.default_rng(points)
    size, (few, many) = net.config.image_size, net.config.multimask
    where = np.sort(random.uniform(2, size - 3, (objects, points, 2)), axis=1).astype(np.float32)
    labels = random.integers(-1, 2, (objects, points)).astype(np.int32)
    if points == 2:
        labels[:] = 2, 3
    hint = torch.from_numpy(random.normal(0, 5, (objects, 1, net.hint_size, net.hint_size)).astype(np.float32))
    for mask in (None, hint):
        expected = net.begin(frame, torch.from_numpy(where), torch.from_numpy(labels), mask)[:4]
        both.check(
            "begin",
            expected,
            **given,
            points=where,
            labels=labels,
            hint=torch.zeros_like(hint) if mask is None else hint,
            hinted=np.float32(mask is not None),
            ambiguous=np.array(few <= points <= many),
        )


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_given_masks_and_what_is_remembered_of_them(written, family, objects):
    net, both = written(family)
    frame, given = encoded(net, both)
    size = net.config.image_size
    masks = torch.zeros(objects, 1, size, size)
    masks[0, :, 5:20, 9:30] = 1  # the others are empty
    heads = net.begin_with_mask(frame, masks)
    both.check("given", heads[:4], **given, masks=masks)
    soft = heads.logits + torch.randn(heads.logits.shape, generator=torch.Generator().manual_seed(0)) * 8
    for certain in (True, False):
        memory = net.spatial_perceiver.tokens(net.remember(frame, soft, heads.object_score, certain))
        both.check(
            "remember",
            [memory],
            embedding=given["embedding"],
            logits=soft,
            object_score=heads.object_score,
            certain=np.array(certain),
        )


@pytest.mark.parametrize(("objects", "memories", "pointers", "frames"), [(1, 1, 1, 1), (2, 3, 0, 2), (3, 7, 5, 1)])
@pytest.mark.parametrize("placed", [True, False])
@pytest.mark.parametrize("family", ["hinted"])
def test_follow_with_frames_shown(written, family, placed, objects, memories, pointers, frames):
    follow(*written(family), placed, objects, memories, pointers, frames)


@pytest.mark.parametrize(("objects", "memories", "pointers"), [(1, 1, 1), (2, 3, 0), (3, 7, 5)])
@pytest.mark.parametrize("family", FAMILIES[1:])
def test_follow(written, family, objects, memories, pointers):
    follow(*written(family), True, objects, memories, pointers, 1)


def follow(net: Sam2, both: Both, placed: bool, objects: int, memories: int, pointers: int, frames: int) -> None:
    """N objects, one of the memories without a place in time, as the net follows them."""
    frame, given = encoded(net, both)
    draw = torch.Generator().manual_seed(memories)
    size = net.config.image_size
    kept, times = [], [None if objects == 2 and i == 1 else i for i in range(memories)]
    for _ in times:
        logits = 8 * torch.randn(objects, 1, net.hint_size, net.hint_size, generator=draw)
        kept.append(net.remember(frame, logits, torch.ones(objects, 1), certain=False))
    seen = [(torch.randn(objects, net.config.dim, generator=draw), 2 * i - 1) for i in range(pointers)]
    shown = [
        Shown(
            4 * torch.randn(objects, 1, size, size, generator=draw),
            torch.randn(objects, 3, size, size, generator=draw),
            1 / (i + 1),
            placed,
        )
        for i in range(frames)
    ]
    inputs = {
        "memories": torch.stack([net.spatial_perceiver.tokens(m) for m in kept], dim=1),
        "memory_times": np.array([-1 if time is None else time for time in times], np.int64),
        "pointers": torch.stack([p for p, _ in seen], dim=1) if seen else torch.zeros(objects, 0, net.config.dim),
        "pointer_times": np.array([time / 15 for _, time in seen], np.float32),
    }
    if net.config.hinted:
        inputs |= {
            "shown_logits": torch.stack([s.logits for s in shown], dim=1),
            "shown_images": torch.stack([s.image for s in shown], dim=1),
            "shown_weights": np.array([s.weight for s in shown], np.float32),
            "placed": np.float32(placed),
        }
    memory = net.recall(list(zip(kept, times, strict=True)), seen, 15)
    both.check("follow", net.follow(frame, memory, *shown)[:4], **given, **inputs)


@pytest.mark.parametrize("family", SAM1)
def test_nets_for_single_images(written, family):
    net, both = written(family)
    size = net.config.image_size
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    embedding = net.encode(images)
    both.check("encode", [embedding], images=images)
    corners = torch.tensor([[[3.0, 5.0], [20.0, 28.0]], [[1.0, 9.0], [15.0, 30.0]], [[0.0, 0.0], [31.0, 31.0]]])
    for boxes in (corners, corners[:1]):
        labels = torch.tensor([[2, 3]] * len(boxes), dtype=torch.int32)
        masks = net.decode(embedding[:1], boxes, labels)
        expected = masks.logits[:, :1], masks.iou[:, 0].clamp(0, 1)
        both.check("begin", expected, embedding=embedding[:1], points=boxes, labels=labels)


@pytest.mark.slow
def test_sam_2_1_tiny_in_its_true_size_at_512_pixels(tmp_path):
    from voxtrace.checkpoints.nets import build, net_config

    torch.manual_seed(0)
    net = build(net_config("sam2.1_hiera_tiny", 512)).eval().requires_grad_(False)
    write(tmp_path, net, "tiny", {}, half=False)
    both = Both(tmp_path)
    frame, given = encoded(net, both, 2)
    points, labels = torch.tensor([[[90.0, 80.0], [300.0, 420.0]]]), torch.tensor([[2, 3]], dtype=torch.int32)
    hint = torch.zeros(1, 1, 128, 128)
    begun = net.begin(frame, points, labels)
    flags = {"hinted": np.float32(0), "ambiguous": np.array(False)}
    both.check("begin", begun[:4], **given, points=points, labels=labels, hint=hint, **flags)
    memory = net.remember(frame, begun.logits, begun.object_score, certain=True)
    expected = net.follow(frame, net.recall([(memory, 0), (memory, 2)], [(begun.pointer, 1)]))
    tokens = net.spatial_perceiver.tokens(memory)
    both.check(
        "follow",
        expected[:4],
        **given,
        memories=torch.stack([tokens, tokens], dim=1),
        memory_times=np.array([0, 2], np.int64),
        pointers=begun.pointer[:, None],
        pointer_times=np.array([1 / 15], np.float32),
    )


def test_the_embedded_graphs_answer_as_the_embedded_net():
    from voxtrace.checkpoints.registered import find

    net, both = load("voxtrace-small").requires_grad_(False), Both(find("voxtrace-small").path.parent)
    frame, given = encoded(net, both, 2)
    points = torch.tensor([[[20.0, 30.0], [60.0, 70.0]], [[5.0, 9.0], [40.0, 31.0]]])
    labels, hint = torch.tensor([[2, 3], [2, 3]], dtype=torch.int32), torch.zeros(2, 1, 96, 96)
    begun = net.begin(frame, points, labels)
    flags = {"hinted": np.float32(0), "ambiguous": np.array(False)}
    both.check("begin", begun[:4], **given, points=points, labels=labels, hint=hint, **flags)
    memory = net.remember(frame, begun.logits, begun.object_score, certain=True)
    shown = Shown(begun.logits, frame.image)
    expected = net.follow(frame, net.recall([(memory, 0)], [(begun.pointer, 1)]), shown)
    both.check(
        "follow",
        expected[:4],
        **given,
        memories=net.spatial_perceiver.tokens(memory)[:, None],
        memory_times=np.array([0], np.int64),
        pointers=begun.pointer[:, None],
        pointer_times=np.array([1 / 15], np.float32),
        shown_logits=begun.logits[:, None],
        shown_images=frame.image.expand(2, -1, -1, -1)[:, None],
        shown_weights=np.float32([1]),
        placed=np.float32(1),
    )
