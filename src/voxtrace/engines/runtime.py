"""What runs graphs: OpenVINO first, ONNX Runtime where it does not run. Nothing above sees which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from voxtrace.engines.graph_files import Graph
from voxtrace.errors import ModelError

# Arrays by the graph's own names of its inputs, more may be given -> arrays by its names of outputs, the caller's own.
Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


class Runtime(Protocol):
    """Opens graphs. label: its name, version, precision and whatever else its answers depend on, as text."""

    label: str

    def open(self, graph: Graph) -> Run:
        """Make a graph ready to run; one call at a time. Raises ModelError for one that it cannot run."""
        ...


def given(graph: Graph, names: Sequence[str], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of the inputs those that the graph names. Raises ModelError where one is lacking."""
    lacking = [name for name in names if name not in inputs]
    if lacking:
        raise unfit(graph, f"it wants {', '.join(lacking)}")
    return {name: np.asarray(inputs[name], order="C") for name in names}


def unfit(graph: Graph, why: str) -> ModelError:
    """The error for a graph that is not the one that its description says it is."""
    return ModelError(f"{graph.path} does not do what its voxtrace.json says ({why}); export the net again")
