"""The optimiser, its schedule and the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def adamw(net: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW of what requires a gradient; biases, norms and single vectors (embeddings of one row) are not decayed."""
    taught = [p for p in net.parameters() if p.requires_grad]
    decayed = [p for p in taught if p.ndim > 1 and p.shape[0] > 1]
    free = [p for p in taught if not (p.ndim > 1 and p.shape[0] > 1)]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def rate_at(progress: float, warm_up: float, floor: float = 0.01) -> float:
    """Factor of the peak rate at `progress` 0..1: linear warm-up, then half a cosine down to `floor`."""
    if progress < warm_up:
        return max(progress / warm_up, 1e-3)
    fraction = min(1.0, (progress - warm_up) / (1 - warm_up))
    return floor + (1 - floor) * (1 + math.cos(math.pi * fraction)) / 2


class Average:
    """Exponential moving average of weights and buffers; young averages forget faster. What is frozen is not copied."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0
        frozen = {name for name, weight in net.named_parameters() if not weight.requires_grad}
        self.moving = [name for name in net.state_dict() if name not in frozen]
        self.state = {
            name: value.detach() if name in frozen else value.detach().clone()
            for name, value in net.state_dict().items()
        }

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards the net's present weights."""
        self.count += 1
        decay = min(self.decay, self.count / (self.count + 10))
        moved: tuple[list[Tensor], list[Tensor]] = ([], [])
        present = net.state_dict()
        for name in self.moving:
            kept: Tensor = self.state[name]
            if kept.is_floating_point():
                moved[0].append(kept)
                moved[1].append(present[name])
            else:
                kept.copy_(present[name])
        if moved[0]:
            torch._foreach_lerp_(moved[0], moved[1], 1 - decay)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor], count: int) -> None:
        """Go on from an earlier average of the same net."""
        self.count = count
        for name in self.moving:
            self.state[name].copy_(state[name])
