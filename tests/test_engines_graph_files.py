"""A folder of graphs is believed only as a whole: every file there, every hash as described."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxtrace.engines.graph_files import DESCRIPTION, VERBS, find_graphs, read_description, read_graphs
from voxtrace.errors import CheckpointError
from voxtrace.hashing import sha256_of


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A folder as an export writes it; what is in the graphs nobody asks here."""
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(b"weights")
    graphs = {}
    for verb in VERBS["sam2"]:
        path = tmp_path / f"{verb}.onnx"
        path.write_bytes(verb.encode())
        graphs[verb] = {"file": path.name, "sha256": sha256_of(path)}
    fields = {
        "format": 1,
        "model": "net",
        "family": "sam2",
        "config": {"image_size": 96},
        "weights": {"file": weights.name, "sha256": sha256_of(weights)},
        "graphs": graphs,
    }
    (tmp_path / DESCRIPTION).write_text(json.dumps(fields))
    return tmp_path


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what the description says."""
    path = folder / DESCRIPTION
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


def test_a_whole_folder_is_read(exported):
    files = read_graphs(exported)
    assert (files.model, files.family, files.config["image_size"]) == ("net", "sam2", 96)
    assert set(files.graphs) == set(VERBS["sam2"])
    assert files.graphs["begin"].path == exported / "begin.onnx"
    assert files.graphs["begin"].weights_sha256 == sha256_of(files.weights)


def test_graphs_are_found_beside_their_weights_and_no_others(exported):
    assert find_graphs(exported / "net.safetensors") == exported
    other = exported / "other.safetensors"
    other.write_bytes(b"weights")
    assert find_graphs(other) is None
    assert find_graphs(exported.parent / "elsewhere.safetensors") is None


def test_other_weights_are_refused(exported):
    (exported / "net.safetensors").write_bytes(b"trained on")
    with pytest.raises(CheckpointError, match="made for other weights; export the net again"):
        read_graphs(exported)


def test_a_changed_graph_is_refused(exported):
    (exported / "follow.onnx").write_bytes(b"another")
    with pytest.raises(CheckpointError, match=r"follow\.onnx is not the file that was exported"):
        read_graphs(exported)


def test_a_missing_graph_is_named(exported):
    (exported / "given.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"given\.onnx is missing"):
        read_graphs(exported)


def test_a_newer_format_is_told(exported):
    changed(exported, lambda fields: fields.update(format=2))
    with pytest.raises(CheckpointError, match="has format 2, this version reads 1; update voxtrace"):
        read_description(exported)


def test_a_family_of_a_newer_version_is_told(exported):
    changed(exported, lambda fields: fields.update(family="sam3"))
    with pytest.raises(CheckpointError, match="sam3"):
        read_graphs(exported)


@pytest.mark.parametrize("part", ["weights", "graphs", "config", "family", "model"])
def test_what_a_description_lacks_is_named(exported, part):
    changed(exported, lambda fields: fields.pop(part))
    with pytest.raises(CheckpointError, match=f"lacks '{part}'"):
        read_graphs(exported)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"graphs"'])
def test_what_is_no_description_is_told(exported, text):
    (exported / DESCRIPTION).write_text(text)
    with pytest.raises(CheckpointError, match=r"voxtrace\.json"):
        read_graphs(exported)


def test_a_folder_without_a_description_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="voxtrace export"):
        read_graphs(tmp_path)


def test_files_elsewhere_are_not_read(exported):
    changed(exported, lambda fields: fields["weights"].update(file="../net.safetensors"))
    with pytest.raises(CheckpointError, match="no file beside it"):
        read_graphs(exported)
