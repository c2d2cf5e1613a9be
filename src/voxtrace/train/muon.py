"""Muon: matrices are stepped by their momentum brought near to an orthogonal one, whatever the gradient's size is.

Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; its size beside AdamW's steps as
Liu et al. 2025 (arXiv:2502.16982) set it. What it was worth here: dev/LOG.md. It costs as much as the square of a
matrix's smaller side, beside which a step of few pictures is short, so wide layers are better left to AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

ROUNDS = 5  # of Newton and Schulz's iteration
LIKE_ADAMW = 0.2  # root mean square of a step of AdamW at rate 1


class Optimiser(Protocol):
    """What a training needs of one."""

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Weights with their rates."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        ...

    def step(self) -> Any:
        """Change the weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; ValueError or KeyError where the weights are grouped otherwise."""
        ...


class Muon(torch.optim.Optimizer):
    """For weights of layers, (outputs, inputs, ...): all but the first axis are taken as one."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Nesterov's momentum, made orthogonal, as large as a step of AdamW would be; decay apart from it."""
        for group in self.param_groups:
            rate, beta = group["lr"], group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum: Tensor = state["momentum"].lerp_(weight.grad, 1 - beta)
                ahead = weight.grad.lerp(momentum, beta).flatten(1)
                size = LIKE_ADAMW * max(ahead.shape) ** 0.5
                weight.mul_(1 - rate * group["weight_decay"])
                weight.add_(orthogonal(ahead).reshape(weight.shape), alpha=-rate * size)


class Together:
    """Two optimisers that share a net's weights as one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of all parts."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self) -> None:
        """Change the weights."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Each part's, by its number."""
        return {str(number): part.state_dict() for number, part in enumerate(self.parts)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there. Raises KeyError or ValueError where it was grouped otherwise."""
        for number, part in enumerate(self.parts):
            part.load_state_dict(state_dict[str(number)])


def orthogonal(matrix: Tensor) -> Tensor:
    """(r, c) -> (r, c) with the same singular vectors and all singular values between about 0.7 and 1.2: five rounds
    of a polynomial of the fifth degree whose coefficients are chosen for small values to grow fast."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x
