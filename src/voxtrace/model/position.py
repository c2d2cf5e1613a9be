"""Where things are: sine maps, random Fourier features of points, sines of time, and rotary tables for attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TEMPERATURE = 10_000.0
Table = TypeVar("Table")


def _once(compute: Callable[..., Table]) -> Callable[..., Table]:
    """Keep tables for later calls; a graph that is being traced computes its own."""
    kept = lru_cache(maxsize=32)(torch.inference_mode(False)(compute))  # it may be wanted for training later

    @wraps(compute)
    def table(*args: Any) -> Table:
        return (compute if torch.compiler.is_compiling() else kept)(*args)

    return table


@_once
def _sine_map(dim: int, height: int, width: int, device: torch.device) -> Tensor:
    half = dim // 2
    divisors = TEMPERATURE ** (2 * (torch.arange(half, device=device) // 2) / half)

    def waves(count: int) -> Tensor:
        """(count, half): positions 1..count mapped to (0, 2 pi], even channels sine, odd cosine."""
        places = torch.arange(1, count + 1, device=device) / (count + 1e-6) * 2 * math.pi
        angles = places[:, None] / divisors
        return torch.stack((angles[:, 0::2].sin(), angles[:, 1::2].cos()), dim=2).flatten(1)

    rows = waves(height)[:, None].expand(height, width, half)
    columns = waves(width)[None].expand(height, width, half)
    return torch.cat((rows, columns), dim=2).permute(2, 0, 1)[None].contiguous()


def sine_map(features: Tensor, dim: int | None = None) -> Tensor:
    """(B, C, H, W) -> (1, C, H, W): first half of the channels tells the row, second half the column."""
    return _sine_map(dim or features.shape[1], *features.shape[-2:], features.device).to(features.dtype)


def time_sines(time: Tensor, dim: int) -> Tensor:
    """(P,) times -> (P, dim): sines then cosines."""
    half = dim // 2
    divisors = TEMPERATURE ** (2 * (torch.arange(half, device=time.device) // 2) / half)
    angles = time[:, None] / divisors
    return torch.cat((angles.sin(), angles.cos()), dim=1)


class PositionEmbeddingRandom(nn.Module):
    """Random Fourier features of points in the unit square; the matrix is part of the weights."""

    def __init__(self, num_pos_feats: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, num_pos_feats))

    def forward(self, points_xy: Tensor) -> Tensor:
        """(..., 2) in [0, 1] -> (..., 2 * num_pos_feats)."""
        matrix: Tensor = self.positional_encoding_gaussian_matrix  # type: ignore[assignment]
        x, y = (2 * points_xy - 1).to(matrix.dtype).split(1, dim=-1)
        angles = 2 * math.pi * (x * matrix[0] + y * matrix[1])  # no product of matrices: it would round places to bf16
        return torch.cat((angles.sin(), angles.cos()), dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """(1, C, height, width): the features of each cell's centre."""
        matrix: Tensor = self.positional_encoding_gaussian_matrix  # type: ignore[assignment]
        device = matrix.device
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        return self(torch.stack((columns, rows), dim=-1)).permute(2, 0, 1)[None]


@_once
def rotary_table(dim: int, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (height * width, dim / 2): the first half of the angles follows x, the second y."""
    frequencies = TEMPERATURE ** -(torch.arange(0, dim, 4, device=device)[: dim // 4] / dim)
    place = torch.arange(height * width, device=device)
    angles = torch.cat((torch.outer(place % width, frequencies), torch.outer(place // width, frequencies)), dim=1)
    return angles.cos(), angles.sin()


@_once
def bicubic(old: int, new: int, device: torch.device) -> Tensor:
    """(new, old): what `old` values along a side weigh in each of `new` places between them (corners not aligned)."""
    peaks = torch.eye(old, device=device).view(1, old, old, 1)
    return F.interpolate(peaks, size=(new, 1), mode="bicubic")[0, :, :, 0].T.contiguous()


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of channels i and i + dim / 2 of (..., N, dim) by its place's angle.

    Real arithmetic instead of SAM 2's complex numbers, so that the graph can be exported; halves instead of its
    neighbouring channels, so that nothing is read in strides.
    """
    cosine, sine = (t.to(x.dtype) for t in table)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)
