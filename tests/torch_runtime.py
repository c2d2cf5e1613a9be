"""A net's verbs as a runtime, not exported: what an engine does around its graphs can be tested alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxtrace.engines.graph import GraphEngine
from voxtrace.engines.graph_files import VERBS as NAMES, Graph, GraphFiles
from voxtrace.engines.graph_sam1 import GraphSam1Engine
from voxtrace.engines.runtime import Run
from voxtrace.export.writing import verbs_of
from voxtrace.model.sam1 import Sam1
from voxtrace.model.sam2 import Sam2


class TorchRuntime:
    """Runs the modules that an export would trace."""

    label = "torch"

    def __init__(self, net: Sam1 | Sam2) -> None:
        self.verbs = {verb.name: verb for verb in verbs_of(net)}
        self.opened: list[str] = []

    def open(self, graph: Graph) -> Run:
        verb = self.verbs[graph.path.stem]
        self.opened.append(verb.name)

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            asked = {name: torch.from_numpy(np.array(inputs[name])) for name in verb.examples()}
            with torch.inference_mode():
                return {name: out.numpy() for name, out in zip(verb.outputs, verb(asked), strict=True)}

        return run


def graph_engine(net: Sam2) -> GraphEngine:
    """The net as an engine on graphs."""
    config = net.config
    described = {
        "image_size": config.image_size,
        "hint_size": net.hint_size,
        "hinted": config.hinted,
        "multimask": config.multimask,
        "zoom": config.zoom,
    }
    return GraphEngine(_files(config.name, "sam2", described), TorchRuntime(net))


def sam1_graph_engine(net: Sam1) -> GraphSam1Engine:
    """The net as an engine on graphs."""
    described = {"image_size": net.config.image_size, "keep_aspect": net.config.keep_aspect}
    return GraphSam1Engine(_files(net.config.name, "sam1", described), TorchRuntime(net))


def _files(name: str, family: str, described: dict[str, Any]) -> GraphFiles:
    graphs = {verb: Graph(verb, Path(f"{verb}.onnx"), "", Path(), "") for verb in NAMES[family]}
    return GraphFiles(Path("."), name, family, described, graphs, Path("weights"))
