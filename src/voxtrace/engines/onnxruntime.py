"""Graphs on ONNX Runtime, for processors and systems that OpenVINO does not run on. float32 only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from voxtrace.engines.cpu import threads, threads_text
from voxtrace.engines.graph_files import Graph
from voxtrace.engines.runtime import Run, given, unfit
from voxtrace.errors import MissingDependencyError, ModelError, VoxtraceError


class OnnxRuntime:
    """A Runtime."""

    def __init__(self, precision: str = "fp32") -> None:
        if precision != "fp32":
            raise ModelError(f"ONNX Runtime runs graphs in fp32, not in {precision!r}; use --engine openvino")
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError("onnxruntime", "onnx", f"--engine onnxruntime ({error})") from None
        self._module = onnxruntime
        self._options = onnxruntime.SessionOptions()
        self._options.log_severity_level = 3  # errors; what it warns of concerns those who write graphs
        count = threads()
        if count is not None:
            self._options.intra_op_num_threads = count
        self.label = f"ONNX Runtime {onnxruntime.__version__}, fp32, {threads_text(count)}"

    def open(self, graph: Graph) -> Run:
        """Load and optimise a graph."""
        try:
            session = self._module.InferenceSession(str(graph.path), self._options, ["CPUExecutionProvider"])
        except Exception as error:  # its classes share no base of their own
            raise ModelError(f"ONNX Runtime cannot run {graph.path}: {str(error).splitlines()[0]}") from error
        names = [one.name for one in session.get_inputs()]
        outputs = [one.name for one in session.get_outputs()]

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            try:
                found = session.run(outputs, given(graph, names, inputs))
            except VoxtraceError:
                raise
            except Exception as error:  # as above
                raise unfit(graph, str(error).splitlines()[0]) from error
            return dict(zip(outputs, found, strict=True))

        return run
