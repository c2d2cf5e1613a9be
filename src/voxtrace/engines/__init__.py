"""Runtimes that make a net an Engine. `open_engine` is the one way to get one by name.

choosing   which one, and why                        batching, correcting, looks, resizing   what all of them share
torch, torch_sam1   on PyTorch                       graph, graph_files, graph_values        on exported graphs
openvino, onnxruntime   what runs graphs (runtime)   cpu, compiled   what it needs to know, and what it keeps
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, cast

from voxtrace.engine import Engine
from voxtrace.engines.choosing import Choice, choose, installed
from voxtrace.engines.finding import FoundModel, find_model
from voxtrace.errors import CheckpointError, MissingDependencyError, ModelError
from voxtrace.hashing import SeenFile

if TYPE_CHECKING:
    from voxtrace.engines.runtime import Runtime

DEFAULT_MODEL = "voxtrace-small"


def open_engine(
    model: str = DEFAULT_MODEL,
    device: str = "auto",
    image_size: int | None = None,
    engine: str = "auto",
    precision: str = "auto",
) -> Engine:
    """Load a model by registered name, file or folder of exported graphs, and make it ready to use.

    model: a name of `voxtrace weights list`, a checkpoint file, or a folder that `voxtrace export` wrote. image_size:
    side in pixels to which frames are squashed, where the file does not say. engine: auto, torch, openvino or
    onnxruntime. precision: auto, fp32 or bf16; auto is bf16 only where the processor or the GPU has a unit for it.
    Raises ModelError for unknown names and for what contradicts itself, CheckpointError for files that do not fit,
    MissingDependencyError for what is not installed.
    """
    found = find_model(model, image_size)
    choice = choose(engine, precision, device, found.why_no_graphs)
    if choice.engine != "torch":
        try:
            return _on_graphs(found, choice, asked=engine)
        except (CheckpointError, MissingDependencyError) as error:
            if engine != "auto" or not installed("torch"):
                raise
            warnings.warn(f"{error}. PyTorch runs the weights instead.", stacklevel=2)
    elif found.damaged and engine == "auto":
        warnings.warn(f"{found.why_no_graphs}. PyTorch runs the weights instead.", stacklevel=2)
    return _on_torch(found, device, choice.precision, asked=precision)


def _on_graphs(found: FoundModel, choice: Choice, asked: str) -> Engine:
    from voxtrace.engines.graph import GraphEngine
    from voxtrace.engines.graph_sam1 import GraphSam1Engine

    files = found.graphs()
    runtime = _runtime(choice, asked)
    opened = GraphSam1Engine(files, runtime) if files.family == "sam1" else GraphEngine(files, runtime)
    opened.open_soon()
    return cast(Engine, opened)  # it takes its own Features back, not any


def _runtime(choice: Choice, asked: str) -> Runtime:
    from voxtrace.engines.onnxruntime import OnnxRuntime

    if choice.engine == "onnxruntime":
        return OnnxRuntime(choice.precision)
    from voxtrace.engines.compiled import CompiledGraphs, cache_folder
    from voxtrace.engines.openvino import OpenVino

    folder = cache_folder()
    try:
        return OpenVino(choice.precision, CompiledGraphs(folder) if folder else None)
    except MissingDependencyError as error:  # it is there and cannot be imported: a system library is missing
        if asked != "auto" or not installed("onnxruntime"):
            raise
        warnings.warn(f"{error}. ONNX Runtime runs the graphs instead.", stacklevel=4)
        return OnnxRuntime()


def _on_torch(found: FoundModel, device: str, precision: str, asked: str) -> Engine:
    from voxtrace.checkpoints import load
    from voxtrace.engines.torch import TorchEngine
    from voxtrace.model.sam2 import Sam2

    located = found.located()
    if located.note:  # what had to be guessed of the file is said, not done in silence
        warnings.warn(located.note, stacklevel=3)
    weights = SeenFile.now(located.path)
    net = load(located)
    if isinstance(net, Sam2):
        return cast(Engine, TorchEngine(net, device, weights, precision))
    from voxtrace.engines.torch_sam1 import TorchSam1Engine
    from voxtrace.model.sam1 import Sam1

    assert isinstance(net, Sam1)
    if asked == "bf16":
        raise ModelError(f"--precision bf16: {found.weights} runs in fp32 on PyTorch; leave it out")
    return TorchSam1Engine(net, device, weights)
