"""The net that a recipe begins with, and the mode it is trained in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from voxtrace.checkpoints import registry, resolve
from voxtrace.checkpoints.reader import read_weights
from voxtrace.errors import InputError
from voxtrace.model.config import CONFIGS
from voxtrace.model.sam2 import Sam2
from voxtrace.train.alone import RefinerAlone
from voxtrace.train.recipe import Recipe

STATE_KEYS = {"average", "trained_s"}


def built(recipe: Recipe) -> Sam2:
    """The net that a recipe names, from its start where it has one, else from random weights."""
    kind = {"refiner": RefinerAlone, "net": Sam2}[recipe.stage]
    net = kind(CONFIGS[recipe.model].at(recipe.image_size))
    if recipe.start:
        weights = start_weights(recipe.start)
        try:
            net.load_state_dict(weights)
        except RuntimeError as error:
            lines = str(error).splitlines()
            raise InputError(
                f"{recipe.start} cannot start a {recipe.model}: {' '.join(lines[1:3]).strip()}; "
                "the recipe's `start` must be of the recipe's `model`"
            ) from None
    return net


def start_weights(start: str) -> dict[str, Tensor]:
    """The average of an earlier training's state, a weights file's tensors, or those of a registered model."""
    if start in registry():
        return _as_floats(read_weights(resolve(start).path).state)
    path = Path(start)
    if not path.is_file():
        raise InputError(
            f"there is no file {start} to start from; `start` names a state or weights file, or a registered model"
        )
    if path.suffix == ".pt":
        found = _state(path)
        if found is not None:
            return found
    return _as_floats(read_weights(path).state)


def _state(path: Path) -> dict[str, Tensor] | None:
    """The average in a state of ours; None for other files."""
    try:
        found = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except Exception:  # whatever is wrong, the reader of weights says it better
        return None
    return dict(found["average"]) if isinstance(found, dict) and found.keys() >= STATE_KEYS else None


def _as_floats(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.float() if weight.is_floating_point() else weight for name, weight in weights.items()}


def set_training(net: Sam2) -> None:
    """Training mode, but batch norms whose weights are frozen keep their statistics too."""
    net.train()
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(
            weight.requires_grad for weight in module.parameters()
        ):
            module.eval()


@contextmanager
def checkpointed(net: Sam2, wanted: bool = True) -> Iterator[None]:
    """Within, the trunk keeps what goes into its blocks only and computes the rest again on the way back: the same
    gradients and statistics for a fraction of the memory and a third more time."""
    pieces = list(_pieces(net.image_encoder.trunk)) if wanted else []
    for piece in pieces:
        piece.forward = partial(_again, piece, piece.forward)
    try:
        yield
    finally:
        for piece in pieces:
            del piece.forward


def _pieces(module: nn.Module) -> Iterator[nn.Module]:
    """What a trunk is made of, lists of modules taken apart."""
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _pieces(child)
        else:
            yield child


def _again(piece: nn.Module, forward: Callable[..., Any], *inputs: Tensor) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), _counted(piece)))


@contextmanager
def _counted(piece: nn.Module) -> Iterator[None]:
    """Within, its batch norms leave their running statistics alone: the batch was counted the first time."""
    norms = [m for m in piece.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, kept, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked -= 1
