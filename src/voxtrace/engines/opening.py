"""Graphs that are opened when they are first asked for, or before that in the background."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

import numpy as np

from voxtrace.engines.graph_files import Graph
from voxtrace.engines.runtime import Run, Runtime
from voxtrace.errors import VoxtraceError


class Verb:
    """One graph of a net. Calls from several threads wait for each other, as a runtime's request serves one."""

    def __init__(self, graph: Graph, runtime: Runtime) -> None:
        self._graph = graph
        self._runtime = runtime
        self._run: Run | None = None
        self._lock = threading.Lock()

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run it. Raises ModelError if the runtime cannot open it."""
        with self._lock:
            return self._opened()(inputs)

    def open_soon(self) -> None:
        """Begin to open it in a thread of its own; what goes wrong there is told when it is called."""
        # No daemon: a process that ends while OpenVINO compiles in one is aborted, whatever its own exit code.
        threading.Thread(target=self._try, name=f"voxtrace-open-{self._graph.path.stem}").start()

    def _try(self) -> None:
        with self._lock, suppress(VoxtraceError):
            self._opened()

    def _opened(self) -> Run:
        if self._run is None:
            self._run = self._runtime.open(self._graph)
        return self._run
