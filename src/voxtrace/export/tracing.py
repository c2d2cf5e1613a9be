"""A verb as an ONNX graph without its weights' values: they are inputs named as in the weights file, until `bind`.

Weights stay outside while the graph is simplified, or what is computed from them would be stored a second time.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch._dynamo.exc import UserError
from torch.onnx.errors import OnnxExporterError

from voxtrace.errors import MissingDependencyError, ModelError
from voxtrace.export.verbs import Inputs, Verb

if TYPE_CHECKING:
    import onnx

OPSET = 18  # onnxruntime and OpenVINO both know it, and most of what is older
STORED_NUMBERS = 128  # constants of at most so many are computed beforehand; larger ones when a graph is opened


def traced(verb: Verb) -> onnx.ModelProto:
    """The graph of a verb; its inputs are the verb's, in order, then the weights that it needs.

    Raises MissingDependencyError without onnx and onnxscript; ModelError for a net that does something that no graph
    can.
    """
    ir = tools()
    examples = verb.examples()
    lengths: dict[str, Any] = {}
    varying = {
        name: {axis: lengths.setdefault(what, torch.export.Dim(what)) for axis, what in verb.axes.get(name, {}).items()}
        for name in examples
    }
    with _quiet(), torch.no_grad():
        try:
            model = _converted(verb, examples, varying)
        except (OnnxExporterError, UserError) as error:
            what = str(error).strip().splitlines()[0]
            raise ModelError(f"{type(verb.net).__name__}.{verb.name} cannot be written as a graph: {what}") from error
        weights = _opened(model.graph, set(verb.net.state_dict()))
        _simplify(model)
        _open_first(model.graph)
    _strip(model.graph)
    model.metadata_props.clear()
    model.graph.name = verb.name
    proto = ir.to_proto(model)
    used = {name for node in proto.graph.node for name in node.input}
    for value in [i for i in proto.graph.input if i.name in weights and i.name not in used]:
        proto.graph.input.remove(value)
    return proto


def _converted(verb: Verb, examples: Inputs, varying: dict[str, dict[int, Any]]) -> Any:
    """The graph as the tracer writes it."""
    # Exported by itself, or the tracer would try other ways, and fix what should vary, where this one fails.
    exported = torch.export.export(
        verb.eval(), (), kwargs={"inputs": examples}, dynamic_shapes={"inputs": varying}, strict=False
    )
    program = torch.onnx.export(
        exported,
        dynamo=True,
        optimize=False,
        opset_version=OPSET,
        input_names=list(examples),
        output_names=list(verb.outputs),
        verbose=False,
    )
    assert program is not None
    return program.model


def tools() -> Any:
    """onnx_ir, once it is known that all that tracing needs is there."""
    try:
        import onnx  # noqa: F401
        import onnx_ir
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(str(error.name), "export", "writing graphs") from None
    return onnx_ir


def _opened(graph: Any, names: set[str]) -> set[str]:
    """Make inputs of the initializers that are weights; their names, as in the weights file."""
    weights = set()
    for name in list(graph.initializers):
        own = name.removeprefix("net.")
        if own in names:
            value = graph.initializers.pop(name)
            value.const_value, value.name = None, own
            graph.inputs.append(value)
            weights.add(own)
    return weights


def _simplify(model: Any) -> None:
    """Compute what depends on no input, join what is computed or stored twice; the rest is the runtimes' work."""
    import onnx_ir.passes.common as passes
    from onnxscript import optimizer

    optimizer.optimize_ir(model, num_iterations=3, input_size_limit=STORED_NUMBERS, output_size_limit=STORED_NUMBERS)
    passes.CommonSubexpressionEliminationPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.DeduplicateInitializersPass()(model)
    passes.RemoveUnusedNodesPass()(model)


def _open_first(graph: Any) -> None:
    """Where a sum has a term for one frame and a term for each of N objects, put the latter first.

    OpenVINO (2026.4) adds a convolution to the first term in place, and N is then 1: results of the wrong length.
    """
    for node in graph:
        if node.op_type == "Add" and len(node.inputs) == 2:
            one, many = node.inputs
            if _first_length(one) == 1 and _first_length(many) not in (None, 1):
                node.replace_input_with(0, many)
                node.replace_input_with(1, one)


def _first_length(value: Any) -> object:
    """Of a map (N, C, h, w): its N, a number or an open length; None for anything else."""
    return None if value.shape is None or len(value.shape) != 4 else value.shape[0]


def _strip(graph: Any) -> None:
    """Take off what only tells where things came from, and shorten the names of what lies between."""
    ends = {id(value) for value in (*graph.inputs, *graph.outputs)}
    for number, node in enumerate(graph):
        node.name, node.doc_string = None, None
        node.metadata_props.clear()
        for index, value in enumerate(node.outputs):
            value.metadata_props.clear()
            if id(value) not in ends:
                value.name = f"v{number}_{index}" if index else f"v{number}"
                value.shape, value.type = None, None
    for number, (name, value) in enumerate(list(graph.initializers.items())):
        del graph.initializers[name]
        value.name, value.shape, value.type = f"c{number}", None, None
        value.metadata_props.clear()
        graph.initializers[value.name] = value
    for value in (*graph.inputs, *graph.outputs):
        value.metadata_props.clear()
        value.doc_string = None
    graph.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The tracer tells of itself, not of the net."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
