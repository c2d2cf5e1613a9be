"""What runs graphs: OpenVINO first, ONNX Runtime where it does not run. Nothing above sees which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from voxtrace.engines.graph_files import Graph

# Arrays by the graph's own names of its inputs, more may be given -> arrays by its names of outputs, the caller's own.
Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


class Runtime(Protocol):
    """Opens graphs. label: its name, version, precision and whatever else its answers depend on, as text."""

    label: str

    def open(self, graph: Graph) -> Run:
        """Make a graph ready to run; one call at a time. Raises ModelError for one that it cannot run."""
        ...
