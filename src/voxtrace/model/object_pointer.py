"""Object pointers: one vector that says which object it is, cut into memory-wide tokens, with a place in time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtrace.model.position import time_sines


class NoPointerTime(nn.Module):
    """SAM 2.0: pointers carry no time."""

    def forward(self, time: Tensor, memory_dim: int) -> Tensor:
        """(P,) -> (P, memory_dim) zeros."""
        return time.new_zeros(time.shape[0], memory_dim)


class PointerTime(nn.Linear):
    """SAM 2.1: sines of the time, projected; its weights are named obj_ptr_tpos_proj."""

    def forward(self, time: Tensor, memory_dim: int) -> Tensor:  # type: ignore[override]
        """(P,) in units of the longest look back -> (P, memory_dim)."""
        return super().forward(time_sines(time, self.in_features))


def pointer_tokens(pointers: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """(N, P, C) pointers and (P, memory_dim) places -> tokens and positions (N, P * C / memory_dim, memory_dim)."""
    memory_dim = places.shape[-1]
    pieces = pointers.shape[-1] // memory_dim
    tokens = pointers.unflatten(-1, (pieces, memory_dim)).flatten(1, 2)
    return tokens, places.repeat_interleave(pieces, dim=0).expand(pointers.shape[0], -1, -1)


def hide_absent(pointer: Tensor, object_score: Tensor, no_pointer: Tensor) -> Tensor:
    """(N, C): the learned `no_pointer` where the object is not on the frame (score <= 0)."""
    return torch.where(object_score > 0, pointer, no_pointer)
