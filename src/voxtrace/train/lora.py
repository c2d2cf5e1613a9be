"""Low-rank adapters: a large layer's change is learned as the product of two thin matrices (Hu et al. 2021,
arXiv:2106.09685), and added to its weight in the end, so that the result is an ordinary net.

The adapter stands on the weight, not beside the layer: W + B A is made before each use. So the adapted net computes
what the merged one will, with whatever kernel the layer has, and convolutions need no form of their own (their kernel
is flattened to a matrix of outputs by all the rest).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from voxtrace.errors import ModelError

WIDEST_KERNEL = 3  # wider ones (patch embeddings, depthwise filters) see hardly anything that depends on the data


@dataclass(frozen=True, slots=True)
class LowRank:
    """rank: of a layer's change. alpha: the change is scaled by alpha / rank, so that another rank needs no other rate.
    norms: norms and biases are taught as they are; they are few."""

    rank: int = 8
    alpha: float = 16.0
    norms: bool = True

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ModelError(f"adapters of rank {self.rank} hold nothing; give a rank of 1 or more, as 8")
        if not self.alpha > 0:
            raise ModelError(f"alpha {self.alpha:g} takes the adapters' change away; it must be above 0")


class Change(nn.Module):
    """weight -> weight + scale * B A; nothing at first, for B is 0."""

    def __init__(self, weight: Tensor, options: LowRank) -> None:
        super().__init__()
        self.a = nn.Parameter(weight.new_empty(options.rank, weight[0].numel()))
        self.b = nn.Parameter(weight.new_zeros(len(weight), options.rank))
        self.scale = options.alpha / options.rank
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Same shape out."""
        return weight + self.scale * (self.b @ self.a).view_as(weight)


def adapt(net: nn.Module, options: LowRank) -> list[str]:
    """Freeze `net` but for adapters on its linear and small convolution layers; returns the layers' names.

    In place. A layer with fewer values than its adapter would have is taught itself. Call `merge` before saving.
    """
    if any(parametrize.is_parametrized(module) for module in net.modules()):
        raise ModelError("this net has adapters already; merge them before it gets others")
    net.requires_grad_(False)
    names = []
    for name, module in list(_adaptable(net)):
        weight = module.weight
        if options.rank * (len(weight) + weight[0].numel()) >= weight.numel():
            weight.requires_grad_(True)
            continue
        parametrize.register_parametrization(module, "weight", Change(weight, options))
        names.append(name)
    if options.norms:
        for parameter in _vectors(net):
            parameter.requires_grad_(True)
    return names


@torch.no_grad()
def merge(net: nn.Module) -> None:
    """Add every adapter to its weight and take it away, in place: the state dict has the net's own names again."""
    for module in net.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)


def _adaptable(net: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear):
            yield name, module
        if isinstance(module, nn.Conv2d) and module.groups == 1 and max(module.kernel_size) <= WIDEST_KERNEL:
            yield name, module


def _vectors(net: nn.Module) -> Iterator[nn.Parameter]:
    """Biases, and the scales of norms."""
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name == "bias" or (name == "weight" and parameter.ndim == 1):
                yield parameter
