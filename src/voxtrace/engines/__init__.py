"""Runtimes that make a net an Engine. `open_engine` is the one way to get one by name."""

from __future__ import annotations

from voxtrace.engine import Engine
from voxtrace.errors import MissingDependencyError

DEFAULT_MODEL = "voxtrace-small"


def open_engine(model: str = DEFAULT_MODEL, device: str = "auto", image_size: int | None = None) -> Engine:
    """Load a model by registered name or file and make it ready to use.

    model: a name of `voxtrace weights list`, or a checkpoint file. image_size: side in pixels that frames are squashed
    to, when the file does not say. Raises ModelError for unknown names, CheckpointError for files that do not fit.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingDependencyError("torch", "torch", f"model {model!r}") from None
    from voxtrace.checkpoints import load
    from voxtrace.engines.torch import TorchEngine
    from voxtrace.model.sam2 import Sam2

    net = load(model, image_size=image_size)
    if isinstance(net, Sam2):
        return TorchEngine(net, device)
    from voxtrace.engines.torch_sam1 import TorchSam1Engine

    return TorchSam1Engine(net, device)
