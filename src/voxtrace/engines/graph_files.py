"""A folder of exported graphs: what voxtrace.json says, checked against the files beside it.

    voxtrace.json    which net, which files, their hashes
    encode.onnx ...  one graph a verb; its weights lie in the weights file, at places that the graph names
    *.safetensors    the weights, the same file that PyTorch loads

A graph that reads another file's weights would draw other masks without a word, so every hash is checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.errors import CheckpointError
from voxtrace.hashing import sha256_of

DESCRIPTION = "voxtrace.json"
FORMAT = 1
VERBS = {"sam2": ("encode", "begin", "given", "follow", "remember"), "sam1": ("encode", "begin")}


@dataclass(frozen=True, slots=True)
class Graph:
    """One verb: its name, its file, and what its answers depend on besides the runtime."""

    verb: str
    path: Path
    sha256: str
    weights: Path
    weights_sha256: str


@dataclass(frozen=True, slots=True)
class GraphFiles:
    """An exported net. config: image_size, hint_size, hinted, multimask, zoom, ... as voxtrace.json has them."""

    folder: Path
    model: str
    family: str
    config: Mapping[str, Any]
    graphs: Mapping[str, Graph]
    weights: Path


@dataclass(frozen=True, slots=True)
class Description:
    """What voxtrace.json says. weights: the file's name. fields: all of it."""

    weights: str
    image_size: int
    fields: Mapping[str, Any]


def find_graphs(weights: Path) -> Path | None:
    """The folder with graphs of a weights file: its own, if the description there names this file. None without."""
    if not (weights.parent / DESCRIPTION).is_file():
        return None
    return weights.parent if read_description(weights.parent).weights == weights.name else None


def read_description(folder: Path) -> Description:
    """voxtrace.json without a look at the files beside it. Raises CheckpointError."""
    path = folder / DESCRIPTION
    if not path.is_file():
        raise CheckpointError(
            f"{folder} holds no {DESCRIPTION}, so no exported net; give a weights file, or write graphs with "
            "`voxtrace export`"
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); export the net again") from error
    version = fields.get("format") if isinstance(fields, dict) else None
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version!r}, this version reads {FORMAT}; update voxtrace or export the net again"
        )
    with _complete(path):
        return Description(str(fields["weights"]["file"]), int(fields["config"]["image_size"]), fields)


def read_graphs(folder: Path) -> GraphFiles:
    """What lies in `folder`, every file there and every hash as described. Raises CheckpointError."""
    fields = read_description(folder).fields
    with _complete(folder / DESCRIPTION):
        return _checked(folder, fields)


@contextmanager
def _complete(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}; export the net again") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); export the net again") from error


def _checked(folder: Path, fields: Mapping[str, Any]) -> GraphFiles:
    family = str(fields["family"])
    if family not in VERBS:
        raise CheckpointError(f"{folder}: nets of family {family!r} are unknown to this version; update voxtrace")
    weights, expected = _beside(folder, fields["weights"]["file"]), str(fields["weights"]["sha256"])
    _check(weights, expected, "the graphs beside it were made for other weights")
    graphs = {}
    for verb in VERBS[family]:
        path, own = _beside(folder, fields["graphs"][verb]["file"]), str(fields["graphs"][verb]["sha256"])
        _check(path, own, f"{DESCRIPTION} describes another graph")
        graphs[verb] = Graph(verb, path, own, weights, expected)
    return GraphFiles(folder, str(fields["model"]), family, fields["config"], graphs, weights)


def _beside(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise CheckpointError(
            f"{folder / DESCRIPTION} names {name!r}, which is no file beside it; export the net again"
        )
    return folder / name


def _check(path: Path, expected: str, otherwise: str) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing beside its {DESCRIPTION}; export the net again")
    if sha256_of(path) != expected:
        raise CheckpointError(f"{path} is not the file that was exported: {otherwise}; export the net again")
