"""Opening a model that has graphs: what is taken, what is refused, and what is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino")

from voxtrace.checkpoints import find
from voxtrace.engines import find_model, open_engine, openvino
from voxtrace.engines.cpu import this_cpu
from voxtrace.engines.graph import GraphEngine
from voxtrace.engines.graph_files import VERBS
from voxtrace.errors import CheckpointError, MissingDependencyError, ModelError
from voxtrace.hashing import sha256_of
from voxtrace.prompts import FramePrompt

pytestmark = pytest.mark.real

FRAME = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def graphs_there() -> None:
    why = find_model("voxtrace-small").why_no_graphs
    if why:
        pytest.skip(why)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A copy of the embedded net's folder."""
    return Path(shutil.copytree(find("voxtrace-small").path.parent, tmp_path / "mine"))


def described_anew(folder: Path, verb: str, content: bytes) -> None:
    """Put another graph there, with its own hash."""
    path = folder / f"{verb}.onnx"
    path.write_bytes(content)
    description = folder / "voxtrace.json"
    fields = json.loads(description.read_text())
    fields["graphs"][verb]["sha256"] = sha256_of(path)
    description.write_text(json.dumps(fields))


def test_a_folder_is_a_model(exported):
    engine = open_engine(str(exported), "cpu", engine="openvino", precision="fp32")
    assert isinstance(engine, GraphEngine)
    assert (engine.name, engine.image_size, engine.batch) == ("voxtrace-small", 96, 1)
    assert "fp32" in engine.runs_on


def test_the_weights_file_of_a_folder_is_the_same_model(exported):
    assert find_model(str(exported / "voxtrace-small.safetensors")).folder == exported


def test_another_image_size_has_no_graphs(exported):
    found = find_model(str(exported), 128)
    assert found.why_no_graphs == f"the graphs in {exported} are for 96 px"
    with pytest.raises(ModelError, match="96 px"):
        open_engine(str(exported), "cpu", 128, engine="openvino")


def test_graphs_that_do_not_fit_the_weights_are_refused(exported):
    weights = exported / "voxtrace-small.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match="made for other weights"):
        open_engine(str(exported), "cpu", engine="openvino")


@pytest.mark.torch
def test_where_nothing_was_asked_for_torch_runs_them_and_says_so(exported):
    pytest.importorskip("torch")
    weights = exported / "voxtrace-small.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    with pytest.warns(UserWarning, match="made for other weights.*PyTorch runs the weights instead"):
        engine = open_engine(str(exported), "cpu")
    assert not isinstance(engine, GraphEngine)


def test_an_openvino_that_cannot_be_imported_gives_way(monkeypatch):
    pytest.importorskip("onnxruntime")

    def broken() -> None:
        raise MissingDependencyError("openvino", "openvino", "--engine openvino (libtbb.so.12 is missing)")

    monkeypatch.setattr(openvino, "_openvino", broken)
    with pytest.raises(MissingDependencyError, match=r"libtbb"):
        open_engine("voxtrace-small", "cpu", engine="openvino")
    with pytest.warns(UserWarning, match=r"libtbb.*ONNX Runtime runs the graphs instead"):
        engine = open_engine("voxtrace-small", "cpu")
    assert isinstance(engine, GraphEngine)
    assert engine.runs_on.startswith("ONNX Runtime")


def test_bf16_is_refused_where_it_would_be_float32_without_a_word():
    if this_cpu().fast_bf16 or "avx512f" in (this_cpu().flags or ()):
        pytest.skip(f"{this_cpu().name} computes in bf16")
    with pytest.raises(ModelError, match="does not compute in bf16"):
        open_engine("voxtrace-small", "cpu", engine="openvino", precision="bf16")


def test_marks_are_decoded_in_float32_whatever_the_precision():
    """At 300 of 512 pixels a number of bfloat16 is a multiple of 2."""
    told = {verb: openvino.settings("bf16", verb)["INFERENCE_PRECISION_HINT"] for verb in VERBS["sam2"]}
    assert told == {"encode": "bf16", "begin": "f32", "given": "f32", "follow": "bf16", "remember": "bf16"}


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_that_is_none_is_told(exported, runtime):
    pytest.importorskip(runtime)
    described_anew(exported, "encode", b"no graph at all")
    with pytest.raises(ModelError, match=r"cannot run .*encode\.onnx"):
        open_engine(str(exported), "cpu", engine=runtime).encode([FRAME])


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_folder_of_links_is_a_model(exported, runtime, monkeypatch):
    """As Hugging Face's cache has them: each file a link to another folder, where it has another name."""
    pytest.importorskip(runtime)
    monkeypatch.setenv("VOXTRACE_CACHE", "off")
    blobs = exported.parent / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(exported.iterdir())):
        path.rename(blobs / str(number)).chmod(0o444)
        path.symlink_to(blobs / str(number))
    engine = open_engine(str(exported), "cpu", engine=runtime, precision="fp32")
    assert engine.encode([FRAME])[0].shape == FRAME.shape[:2]


def configured_anew(folder: Path, **config: object) -> None:
    """Change what the description says of the net."""
    fields = json.loads((folder / "voxtrace.json").read_text())
    fields["config"] |= config
    (folder / "voxtrace.json").write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("name", "value"),
    [("multimask", 3), ("multimask", [1]), ("hint_size", "x"), ("image_size", 0), ("image_size", True), ("zoom", "2")],
)
def test_a_config_that_means_nothing_is_told(exported, name, value):
    configured_anew(exported, **{name: value})
    with pytest.raises(ModelError, match=f"config has {name} .*export the net again"):
        open_engine(str(exported), "cpu", engine="openvino")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_config_of_another_net_is_told(exported, runtime):
    pytest.importorskip(runtime)
    configured_anew(exported, image_size=64)
    with pytest.raises(ModelError, match=r"encode\.onnx does not do what .*voxtrace\.json says"):
        open_engine(str(exported), "cpu", engine=runtime).encode([FRAME])


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_of_another_verb_is_told(exported, runtime):
    pytest.importorskip(runtime)
    described_anew(exported, "encode", (exported / "given.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"encode\.onnx does not do what .* wants .*masks"):
        open_engine(str(exported), "cpu", engine=runtime).encode([FRAME])


@pytest.mark.torch
def test_weights_beside_a_damaged_description_run_on_torch(exported):
    pytest.importorskip("torch")
    (exported / "voxtrace.json").write_text('{"format": 99}')
    weights = str(exported / "voxtrace-small.safetensors")
    with pytest.warns(UserWarning, match="format 99.*PyTorch runs the weights instead"):
        assert not isinstance(open_engine(weights, "cpu"), GraphEngine)
    assert not isinstance(open_engine(weights, "cpu", engine="torch"), GraphEngine)
    with pytest.raises(ModelError, match="format 99"):
        open_engine(weights, "cpu", engine="openvino")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_the_same_question_has_the_same_answer_and_leaves_its_arrays_alone(runtime):
    """A runtime that works in place, or keeps something between calls, would differ from the second call on."""
    pytest.importorskip(runtime)
    engine = open_engine("voxtrace-small", "cpu", engine=runtime, precision="fp32")
    features = engine.encode([FRAME])[0]
    before = {name: array.copy() for name, array in features.maps.items()}
    mask = np.zeros(FRAME.shape[:2], bool)
    mask[10:30, 15:40] = True
    prompts = [FramePrompt(mask=mask), FramePrompt(np.float32([[20, 15], [45, 33]]), np.int32([2, 3]))]
    answers = []
    for _ in range(4):
        decoded = engine.begin(features, prompts)
        entries = engine.remember(features, decoded, 0, prompted=True)
        answers.append([decoded.logits, decoded.iou, *(entry.pointer for entry in entries), entries[0].memory])
    for other in answers[1:]:
        assert all(np.array_equal(one, again) for one, again in zip(answers[0], other, strict=True))
    assert all(np.array_equal(before[name], features.maps[name]) for name in before)
