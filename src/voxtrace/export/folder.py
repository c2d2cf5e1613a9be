"""A folder with an exported net: its graphs, its weights file and voxtrace.json, which names them and their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace import __version__
from voxtrace.checkpoints.nets import NetConfig, to_json
from voxtrace.export.verbs import memory_tokens
from voxtrace.hashing import sha256_of
from voxtrace.model.sam1 import Sam1, Sam1Config
from voxtrace.model.sam2 import NUM_MEMORIES, Sam2

if TYPE_CHECKING:
    import onnx

DESCRIPTION = "voxtrace.json"
FORMAT = 1


def write_graph(folder: Path, graph: onnx.ModelProto) -> None:
    """One verb's file."""
    (folder / f"{graph.graph.name}.onnx").write_bytes(graph.SerializeToString(deterministic=True))


def describe(folder: Path, model: str, net: Sam1 | Sam2, weights: Path, verbs: tuple[str, ...], opset: int) -> None:
    """Write voxtrace.json for what lies in the folder."""
    fields = {
        "format": FORMAT,
        "model": model,
        "family": "sam1" if isinstance(net, Sam1) else "sam2",
        "config": sizes(net),
        "net": json.loads(to_json(net.config)),
        "weights": {"file": weights.name, "sha256": sha256_of(weights)},
        "graphs": {verb: _named(folder / f"{verb}.onnx") for verb in verbs},
        "opset": opset,
        "exporter": f"voxtrace {__version__}",
    }
    (folder / DESCRIPTION).write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def sizes(net: Sam1 | Sam2) -> dict[str, Any]:
    """What a program that runs the graphs must know of the net."""
    config: NetConfig = net.config
    common = {"name": config.name, "image_size": config.image_size, "embedding_size": config.embedding_size}
    if isinstance(config, Sam1Config):
        return {**common, "dim": config.dim, "keep_aspect": config.keep_aspect}
    assert isinstance(net, Sam2)
    return {
        **common,
        "hint_size": net.hint_size,
        "dim": config.dim,
        "memory_dim": config.memory_dim,
        "memory_tokens": memory_tokens(net),
        "memory_times": NUM_MEMORIES,
        "high_res": config.high_res,
        "hinted": config.hinted,
        "multimask": list(config.multimask),
        "zoom": config.zoom,
    }


def _named(path: Path) -> Mapping[str, str]:
    return {"file": path.name, "sha256": sha256_of(path)}
