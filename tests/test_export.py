"""Exported folders: graphs tied to a weights file, what is written and what is refused."""

from __future__ import annotations

import json
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from small_nets import small_net  # noqa: E402
from voxtrace.checkpoints import find, load, resolve, save  # noqa: E402
from voxtrace.checkpoints.reader import read_header  # noqa: E402
from voxtrace.errors import CheckpointError, MissingDependencyError, ModelError, OutputError  # noqa: E402
from voxtrace.export.binding import bind, places  # noqa: E402
from voxtrace.export.embed import embed, register  # noqa: E402
from voxtrace.export.writing import export, verbs_of  # noqa: E402
from voxtrace.hashing import sha256_of  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

VERBS = ("encode", "begin", "given", "follow", "remember")
EMBEDDED = find("voxtrace-small").path


def graph(verb: str, folder: Path = EMBEDDED.parent) -> onnx.ModelProto:
    return onnx.load(folder / f"{verb}.onnx", load_external_data=False)


def test_the_embedded_graphs_fit_the_embedded_weights():
    described = json.loads((EMBEDDED.parent / "voxtrace.json").read_text())
    assert described["weights"] == {"file": EMBEDDED.name, "sha256": sha256_of(EMBEDDED)}
    assert set(described["graphs"]) == set(VERBS)
    found = places(EMBEDDED)
    for verb, file in described["graphs"].items():
        assert file["sha256"] == sha256_of(EMBEDDED.parent / file["file"])
        tied = [t for t in graph(verb).graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
        assert len(tied) > 40, "weights are not stored in the graph"
        for tensor in tied:
            place = found[tensor.name]
            told = {entry.key: entry.value for entry in tensor.external_data}
            assert told == {"location": EMBEDDED.name, "offset": str(place.offset), "length": str(place.length)}
            assert tuple(tensor.dims) == place.shape
    assert sum(path.stat().st_size for path in EMBEDDED.parent.iterdir()) < 18e6, "weights and graphs together"


@pytest.mark.parametrize("half", [True, False])
def test_new_weights_of_the_same_net_need_no_new_graphs(tmp_path, half):
    for verb in VERBS:
        shutil.copy(EMBEDDED.parent / f"{verb}.onnx", tmp_path)
    net = load("voxtrace-small")
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.03)
    weights = tmp_path / "new.safetensors"
    save(weights, net, net.config, {"card": "longer than the card before " * 500}, half)
    embed(weights)

    described = json.loads((tmp_path / "voxtrace.json").read_text())
    assert described["weights"] == {"file": "new.safetensors", "sha256": sha256_of(weights)}
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 96, 96)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "encode.onnx", providers=["CPUExecutionProvider"])
    mean, std = (np.float32(values)[:, None, None] * 255 for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = load(weights).encode(torch.from_numpy((images - mean) / std)).embedding.numpy()
        before = load("voxtrace-small").encode(torch.from_numpy((images - mean) / std)).embedding.numpy()
    found = session.run(["embedding"], {"images": images})[0]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    assert np.abs(found - before).max() > 1e-2 * np.abs(before).max(), "the new values are read"


def test_weights_of_another_net_are_refused(tmp_path):
    for verb in VERBS:
        shutil.copy(EMBEDDED.parent / f"{verb}.onnx", tmp_path)
    net = small_net("hinted")
    save(tmp_path / "other.safetensors", net, net.config, {})
    with pytest.raises(CheckpointError, match=r"graph encode needs image_encoder.*other.safetensors has it as F32"):
        embed(tmp_path / "other.safetensors")


def test_a_weights_file_that_is_cut_short_is_refused(tmp_path):
    short = tmp_path / "short.safetensors"
    short.write_bytes(EMBEDDED.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="cut short"):
        bind(graph("remember"), short, set(places(EMBEDDED)))
    short.write_bytes(b"\x05")
    with pytest.raises(CheckpointError, match="no readable safetensors"):
        places(short)


@pytest.fixture(scope="module")
def single(tmp_path_factory) -> Path:
    """A weights file of a small net for single images: two graphs, soon traced."""
    file = tmp_path_factory.mktemp("single") / "mine.safetensors"
    net = small_net("litemedsam")
    save(file, net, net.config, {"card": "# mine\n", "licence": "CC-BY-4.0"}, half=True)
    return file


def test_a_model_is_exported_from_the_command_line_over_an_older_export(voxtrace, single, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "voxtrace.json").write_text("{}")
    (out / "follow.onnx").write_text("of an older export")
    ran = voxtrace("export", single, "-o", out, "--overwrite", "--json")
    assert ran.code == 0, ran.err
    assert set(ran.json["files"]) == {"CARD.md", "begin.onnx", "encode.onnx", "mine.safetensors", "voxtrace.json"}
    assert ran.json["licence"] == "CC-BY-4.0"
    assert {path.name for path in out.iterdir()} == set(ran.json["files"])
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing half-written is left"

    assert (out / "CARD.md").read_text() == "# mine\n"
    described = json.loads((out / "voxtrace.json").read_text())
    assert (described["family"], described["config"]["keep_aspect"]) == ("sam1", True)
    head = read_header(out / "mine.safetensors")
    assert set(head.dtypes.values()) <= {"F16", "I64"}, "stored as the model was"
    assert head.metadata["licence"] == "CC-BY-4.0"
    assert resolve(out / "mine.safetensors").config == "litemedsam", "PyTorch loads the same file"
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(out / "encode.onnx", providers=["CPUExecutionProvider"])
    found, expected = session.run(None, {"images": images.numpy()})[0], load(single).encode(images).detach().numpy()
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_what_is_there_is_kept(fails, single, tmp_path):
    kept = tmp_path / "thesis"
    kept.mkdir()
    assert "--overwrite" in fails("export", single, "-o", kept)
    (kept / "chapter.txt").write_text("precious")
    assert "no exported model" in fails("export", single, "-o", kept, "--overwrite")
    assert "is a file" in fails("export", single, "-o", kept / "chapter.txt")
    assert "is a file" in fails("export", single, "-o", kept / "chapter.txt" / "out")


def test_unknown_models_and_unfit_sizes_are_refused(fails, single, tmp_path):
    assert "did you mean voxtrace-small" in fails("export", "voxtrace-smal", "-o", tmp_path / "out")
    assert "runs at no other size" in fails("export", single, "-o", tmp_path / "out", "--image-size", 64)
    assert "multiple of 32" in fails("export", "voxtrace-small", "-o", tmp_path / "out", "--image-size", 100)


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file may grow beyond 20 KB, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_told_and_nothing_is_left(single, tmp_path, little_room):
    with pytest.raises(OutputError, match="cannot be written"):
        export(single, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_that_write_graphs_the_extra_is_named(single, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"package onnxscript: pip install 'voxtrace\[export\]'"):
        export(single, tmp_path / "out")


def test_other_modules_are_no_nets_to_export():
    with pytest.raises(ModelError, match="a Linear cannot be exported"):
        verbs_of(torch.nn.Linear(2, 2))


def test_new_embedded_weights_are_registered_and_nothing_else_of_the_table_changes(tmp_path):
    table = tmp_path / "checkpoints.toml"
    before = (EMBEDDED.parents[1] / "checkpoints.toml").read_text()
    table.write_text(before)
    register(table, "0" * 64)
    lines = zip(before.split("\n"), table.read_text().split("\n"), strict=True)
    changed = [(old, new) for old, new in lines if old != new]
    assert changed == [(f'sha256 = "{find("voxtrace-small").sha256}"', f'sha256 = "{"0" * 64}"')]
