"""Runtimes that make a net an Engine. `open_engine` is the one way to get one by name."""

from __future__ import annotations

import warnings
from typing import cast

from voxtrace.engine import Engine
from voxtrace.errors import MissingDependencyError
from voxtrace.hashing import SeenFile

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
    from voxtrace.checkpoints import load, resolve
    from voxtrace.engines.torch import TorchEngine
    from voxtrace.model.sam2 import Sam2

    located = resolve(model, image_size)
    if located.note:  # what had to be guessed of the file is said, not done in silence
        warnings.warn(located.note, stacklevel=2)
    weights = SeenFile.now(located.path)
    net = load(located)
    if isinstance(net, Sam2):
        return cast(Engine, TorchEngine(net, device, weights))  # it takes its own Features back, not any
    from voxtrace.engines.torch_sam1 import TorchSam1Engine
    from voxtrace.model.sam1 import Sam1

    assert isinstance(net, Sam1)
    return TorchSam1Engine(net, device, weights)
