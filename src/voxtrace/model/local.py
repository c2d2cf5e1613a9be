"""What a correcting click may change: only what hangs together with it.

A hinted net redraws the whole mask whenever it is asked. A person who clicks one error has looked at the rest and left
it as it is, so the rest stays; and what was clicked is as it was clicked.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def near_clicks(logits: Tensor, known: Tensor, clicked: Tensor) -> Tensor:
    """The logits (N, M, S, S) with those changes against `known` taken back that no click of their kind touches.

    known (N, 1, S, S): the mask's logits before; clicked (N, 1, S, S): 1 at positive clicks, -1 at negative, else 0.
    A pixel that is taken back keeps its certainty and changes its side.
    """
    inside, before = logits > 0, (known > 0).expand_as(logits)
    changed = inside != before
    wanted = torch.where(before, clicked < 0, clicked > 0)
    refused = changed & ~_reached(wanted & changed, changed)
    logits = torch.where(refused, -logits, logits)
    # A logit of 0 is outside, and so is a pixel whose side was changed from it.
    logits = torch.where(refused & before & (logits <= 0), torch.full_like(logits, 1e-3), logits)
    return torch.where(clicked != 0, clicked * logits.abs().clamp(min=1.0), logits)


def _reached(seeds: Tensor, region: Tensor) -> Tensor:
    """All of `region` that hangs together with a seed, over edges and corners; bool maps (N, M, S, S)."""
    reached, size = seeds, -1
    while (now := int(reached.sum())) != size:
        size = now
        for _ in range(8):
            reached = (F.max_pool2d(reached.float(), 3, stride=1, padding=1) > 0) & region
    return reached
