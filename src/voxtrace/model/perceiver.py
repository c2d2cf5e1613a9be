"""EdgeTAM's spatial perceiver: a memory map of any size becomes 512 tokens, so that following stays cheap.

256 free latents look at the whole map; 256 placed latents, a 16 x 16 grid, each look at their own window of it. Both
pass through the same layers. What comes out keeps the map's channels.
"""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpatialPerceiver(nn.Module):
    """(B, C, h, w) memory map and its (B, C, h, w) positions -> (B, free + placed, C) tokens, the free ones first."""

    def __init__(self, width: int = 64, free: int = 256, placed: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.side = isqrt(placed)
        self.latents = nn.Parameter(torch.randn(free, width))
        self.latents_2d = nn.Parameter(torch.randn(placed, width))
        self.layers = nn.ModuleList(_Layer(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, memory: Tensor, positions: Tensor) -> Tensor:
        batch = len(memory)
        free = self.latents.expand(batch, -1, -1)
        placed = self.latents_2d[:, None].repeat(batch, 1, 1)  # one latent a window: (B * placed, 1, C)
        whole, where, windows = _tokens(memory), _tokens(positions), self._windows(memory)
        for layer in self.layers:
            free = layer(free, whole, where)
            placed = layer(placed, windows, None)
        return self.norm(torch.cat([free, placed.reshape(batch, -1, placed.shape[-1])], dim=1))

    def _windows(self, memory: Tensor) -> Tensor:
        """(B, C, h, w) -> (B * side * side, tokens of a window, C)."""
        _, channels, h, w = memory.shape
        tiled = memory.reshape(-1, channels, self.side, h // self.side, self.side, w // self.side)
        return tiled.permute(0, 2, 4, 3, 5, 1).reshape(-1, (h // self.side) * (w // self.side), channels)


def _tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


class _Layer(nn.Module):
    """Latents look at the map, then at one another."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = _CrossAttention(width)
        self.ff = _feed_forward(width)
        self.self_attn = _SelfAttention(width)
        self.self_ff = _feed_forward(width)

    def forward(self, latents: Tensor, tokens: Tensor, positions: Tensor | None) -> Tensor:
        latents = latents + self.attn(latents, tokens, positions)
        latents = latents + self.ff(latents)
        latents = latents + self.self_attn(latents)
        return latents + self.self_ff(latents)


class _CrossAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(width)
        self.norm_latents = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def forward(self, latents: Tensor, tokens: Tensor, positions: Tensor | None) -> Tensor:
        queries = self.to_q(self.norm_latents(latents))
        keys, values = self.to_kv(self.norm_x(tokens)).chunk(2, dim=-1)
        if positions is not None:  # the free latents learn where things are from the values too
            keys, values = keys + positions, values + positions
        return self.to_out(F.scaled_dot_product_attention(queries, keys, values))


class _SelfAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        normed = self.norm(latents)
        keys, values = self.to_kv(normed).chunk(2, dim=-1)
        return self.to_out(F.scaled_dot_product_attention(self.to_q(normed), keys, values))


def _feed_forward(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
    )
