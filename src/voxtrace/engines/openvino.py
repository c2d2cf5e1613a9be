"""Graphs on OpenVINO: the fastest way measured on a CPU, in float32 or, where a processor is made for it, bfloat16."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.engines.compiled import CompiledGraphs
from voxtrace.engines.cpu import this_cpu, threads, threads_text
from voxtrace.engines.graph_files import Graph
from voxtrace.engines.runtime import Run, given, unfit
from voxtrace.errors import MissingDependencyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

HINTS = {"fp32": "f32", "bf16": "bf16"}
EXACT = ("begin", "given")  # in float32 always, as on PyTorch: bfloat16 would round the places of marks to whole pixels


class OpenVino:
    """A Runtime. kept: where compiled graphs are kept between processes; None compiles anew."""

    def __init__(self, precision: str = "fp32", kept: CompiledGraphs | None = None) -> None:
        if precision not in HINTS:
            raise ModelError(f"OpenVINO runs graphs in {' or '.join(HINTS)}, not in {precision!r}")
        openvino = _openvino()
        self._core = openvino.Core()
        if precision == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            # It would run in float32 without a word.
            raise ModelError(f"--precision bf16: {this_cpu().name} does not compute in bf16; leave it out")
        self._kept = kept
        self._precision = precision
        self.label = f"OpenVINO {openvino.get_version()}, {precision}, {threads_text(threads())}"

    def open(self, graph: Graph) -> Run:
        """Compile a graph, or take it as it was compiled before."""
        compiled = self._compiled(graph)
        request = compiled.create_infer_request()
        names = [one.get_any_name() for one in compiled.inputs]
        outputs = [one.get_any_name() for one in compiled.outputs]

        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            try:
                found = request.infer(given(graph, names, inputs), share_inputs=True)
            except RuntimeError as error:
                raise unfit(graph, _last_line(error)) from error
            return {name: found[index] for index, name in enumerate(outputs)}

        return run

    def _compiled(self, graph: Graph) -> Any:
        cpu, config = this_cpu(), settings(self._precision, graph.verb)
        processor = cpu.name, *sorted(cpu.flags or ())
        key = (graph.sha256, graph.weights_sha256, self.label, sorted(config.items()), processor)
        if self._kept is not None and (blob := self._kept.read(key)) is not None:
            try:
                return self._core.import_model(blob, "CPU", config)
            except (RuntimeError, TypeError) as error:
                self._kept.foreign(key, str(error))
        try:
            with _without_links(graph) as path:
                compiled = self._core.compile_model(self._core.read_model(path), "CPU", config)
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot run {graph.path}: {_last_line(error)}") from error
        if self._kept is not None:
            self._kept.write(key, compiled.export_model().getvalue())
        return compiled


def settings(precision: str, verb: str) -> dict[str, Any]:
    """What OpenVINO is told for a verb. The precision always: left to itself it takes bfloat16 or float16 wherever it
    can, and masks would differ from machine to machine."""
    hint = HINTS["fp32" if verb in EXACT else precision]
    told: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    # Pinned threads of two processes would sit on the same cores, whatever is free beside them: four times slower.
    told["ENABLE_CPU_PINNING"] = False
    count = threads()
    return told if count is None else told | {"INFERENCE_NUM_THREADS": count}


def _openvino() -> Any:
    if this_cpu().too_old:
        raise ModelError(f"OpenVINO needs a processor with SSE4.2, which {this_cpu().name} is not; use --engine torch")
    try:
        with _without_converters():
            import openvino
    except ImportError as error:
        raise MissingDependencyError("openvino", "openvino", f"--engine openvino ({error})") from None
    return openvino


@contextmanager
def _without_links(graph: Graph) -> Iterator[Path]:
    """The graph with its weights beside it. OpenVINO refuses weights that a link leads to elsewhere, as Hugging Face's
    cache and some installers lay files out; copies serve while it compiles."""
    if graph.weights.resolve().parent == graph.path.parent.resolve():
        yield graph.path
        return
    with tempfile.TemporaryDirectory(prefix="voxtrace-") as folder:
        for path in (graph.weights, graph.path):
            shutil.copy(path, folder)
        yield Path(folder) / graph.path.name


@contextmanager
def _without_converters() -> Iterator[None]:
    """Import OpenVINO without what converts models of other programs: a third of its time, and it is not used here."""
    name = "openvino.tools.ovc"
    if "openvino" in sys.modules or name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # importing it is an ImportError, which OpenVINO expects
    try:
        yield
    finally:
        del sys.modules[name]


def _last_line(error: Exception) -> str:
    """Of OpenVINO's long texts the line that says what is wrong."""
    return [line for line in str(error).splitlines() if line.strip()][-1].strip()
