"""EdgeTAM's spatial perceiver: a memory map of any size becomes 512 tokens, so that following stays cheap.

Source: Zhou et al. 2025, EdgeTAM (arXiv:2501.07256). 256 free latents look at the whole map; 256 placed latents, a
16 x 16 grid, look each at its own window of it. Both pass through the same layers.
"""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.errors import ModelError
from voxtrace.model.memory_attention import RoPEAttention
from voxtrace.model.position import rotary_table, sine_map


class SpatialPerceiver(nn.Module):
    """How EdgeTAM keeps a memory; the methods are WholeMap's."""

    def __init__(self, dim: int = 64, free: int = 256, placed: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.side = isqrt(placed)
        self.latents = nn.Parameter(torch.randn(free, dim))
        self.latents_2d = nn.Parameter(torch.randn(placed, dim))
        self.layers = nn.ModuleList(PerceiverLayer(dim) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, memory: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, free + placed, C), the free tokens first; h and w are multiples of the grid's side."""
        free = self.latents.expand(memory.shape[0], -1, -1)
        placed = self.latents_2d[:, None].repeat(memory.shape[0], 1, 1)  # (N * placed, 1, C): one latent a window
        whole, where, windows = _flat(memory), _flat(sine_map(memory)), self._windows(memory)
        for layer in self.layers:
            free = layer(free, whole, where)
            placed = layer(placed, windows)
        placed = placed.reshape(memory.shape[0], -1, placed.shape[-1])
        return self.norm(torch.cat((free, placed), dim=1))

    def tokens(self, kept: Tensor) -> Tensor:
        """They are tokens already: (N, M, C)."""
        return kept

    def positions(self, kept: Tensor) -> Tensor:
        """(1, M, C): zeros for the free tokens, the grid's sines for the placed ones."""
        grid = _flat(sine_map(kept.new_empty(1, self.latents.shape[1], self.side, self.side)))
        return torch.cat((grid.new_zeros(1, len(self.latents), grid.shape[-1]), grid), dim=1)

    def _windows(self, memory: Tensor) -> Tensor:
        """(N, C, h, w) -> (N * placed, tokens of a window, C), windows in row order."""
        height, width = memory.shape[-2:]
        if height % self.side or width % self.side:
            raise ModelError(
                f"EdgeTAM's image size must be a multiple of {16 * self.side}, not {16 * height}: "
                f"its memory is read in {self.side} x {self.side} windows"
            )
        tiled = memory.unflatten(3, (self.side, -1)).unflatten(2, (self.side, -1))  # N, C, rows, y, columns, x
        return tiled.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(0, 2)


class RoPEAttentionV2(RoPEAttention):
    """Reads memories that a SpatialPerceiver keeps: the placed tokens are turned by their place in the grid."""

    def __init__(self, dim: int, memory_dim: int, free: int, placed: int) -> None:
        super().__init__(dim, memory_dim)
        self.free = free
        self.side = isqrt(placed)

    def memory_table(self, table: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Angle zero for the free tokens, then the grid's angles."""
        half = table[0].shape[-1]
        cosine, sine = rotary_table(2 * half, self.side, self.side, table[0].device)
        return (
            torch.cat((cosine.new_ones(self.free, half), cosine)),
            torch.cat((sine.new_zeros(self.free, half), sine)),
        )


def _flat(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


class PerceiverLayer(nn.Module):
    """Latents look at the map, then at one another."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.attn = LatentCrossAttention(dim)
        self.ff = _feed_forward(dim)
        self.self_attn = LatentSelfAttention(dim)
        self.self_ff = _feed_forward(dim)

    def forward(self, latents: Tensor, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        latents = latents + self.attn(latents, tokens, positions)
        latents = latents + self.ff(latents)
        latents = latents + self.self_attn(latents)
        return latents + self.self_ff(latents)


class LatentCrossAttention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(dim)
        self.norm_latents = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, latents: Tensor, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        queries = self.to_q(self.norm_latents(latents))
        keys, values = self.to_kv(self.norm_x(tokens)).chunk(2, dim=-1)
        if positions is not None:  # the free latents learn where things are from the values too
            keys, values = keys + positions, values + positions
        return self.to_out(_attend(queries, keys, values))


class LatentSelfAttention(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        normed = self.norm(latents)
        keys, values = self.to_kv(normed).chunk(2, dim=-1)
        return self.to_out(_attend(self.to_q(normed), keys, values))


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """One head; the axis of heads is there for the graphs' sake, which have this attention with it only."""
    return F.scaled_dot_product_attention(queries[:, None], keys[:, None], values[:, None])[:, 0]


def _feed_forward(dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(dim), nn.Linear(dim, 4 * dim, bias=False), nn.GELU(), nn.Linear(4 * dim, dim, bias=False)
    )
