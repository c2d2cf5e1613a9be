"""Hiera, the trunk of SAM 2: a transformer in four scales, attention in windows but for a few global blocks.

Source: Ryali et al. 2023 (arXiv:2306.00989); window position embedding: Bolya et al. 2023 (arXiv:2311.05613).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.layers import MLP
from voxtrace.model.position import bicubic


@dataclass(frozen=True, slots=True)
class HieraConfig:
    """The numbers of a Hiera: width and heads of the first stage, blocks a stage, which blocks attend globally."""

    embed_dim: int
    num_heads: int
    stages: tuple[int, int, int, int]
    global_blocks: tuple[int, ...]
    windows: tuple[int, int, int, int] = (8, 4, 14, 7)
    position_grid: tuple[int, int] = (7, 7)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four maps, finest first."""
        return tuple(self.embed_dim * 2**stage for stage in range(4))

    def build(self) -> Hiera:
        """The net, with random weights."""
        return Hiera(self)


class Hiera(nn.Module):
    """(B, 3, H, W) -> four maps (B, C, H/4, W/4) .. (B, 8C, H/32, W/32), finest first."""

    def __init__(self, config: HieraConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.patch_embed = PatchEmbed(config.embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.embed_dim, *config.position_grid))
        window = config.windows[0]
        self.pos_embed_window = nn.Parameter(torch.zeros(1, config.embed_dim, window, window))
        self.blocks = nn.ModuleList()
        self.ends = set()
        for stage, depth in enumerate(config.stages):
            for step in range(depth):
                entering = stage > 0 and step == 0
                index = len(self.blocks)
                # A stage's first block still works in the windows of the stage before: it pools inside them.
                window = 0 if index in config.global_blocks else config.windows[stage - entering]
                width = config.channels[stage]
                heads = config.num_heads * 2**stage
                self.blocks.append(MultiScaleBlock(config.channels[stage - entering], width, heads, window, entering))
            self.ends.add(len(self.blocks) - 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.patch_embed(images)
        x = x + self._position(x.shape[1], x.shape[2])
        maps = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.ends:
                maps.append(x.permute(0, 3, 1, 2))
        return maps

    def _position(self, height: int, width: int) -> Tensor:
        """(1, height, width, C): the coarse grid stretched over the image plus a tile that repeats in each window."""
        grid = stretched(self.pos_embed.permute(0, 2, 3, 1), height, width)
        tile = self.pos_embed_window.permute(0, 2, 3, 1)
        window = tile.shape[1]
        windows = grid.unflatten(1, (-1, window)).unflatten(3, (-1, window))
        return (windows + tile[:, None, :, None]).flatten(3, 4).flatten(1, 2)


class PatchEmbed(nn.Module):
    """Overlapping 7 x 7 patches, one every 4 pixels."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=7, stride=4, padding=3)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, H/4, W/4, C)."""
        return self.proj(images).permute(0, 2, 3, 1).contiguous()  # or every layer after it would copy


class MultiScaleBlock(nn.Module):
    """Attention and perceptron; `pooled` blocks halve the map by pooling the queries."""

    def __init__(self, dim: int, dim_out: int, num_heads: int, window: int, pooled: bool) -> None:
        super().__init__()
        self.window = window
        self.pooled = pooled
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = MultiScaleAttention(dim, dim_out, num_heads, pooled)
        self.norm2 = nn.LayerNorm(dim_out, eps=1e-6)
        self.mlp = MLP(dim_out, 4 * dim_out, dim_out, 2, activation=F.gelu)
        if pooled:
            self.proj = nn.Linear(dim, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, dim) -> (B, H, W, dim_out), or half of H and W when pooled."""
        normed = self.norm1(x)
        shortcut = halve(self.proj(normed)) if self.pooled else x
        x = shortcut + self.attn(normed, self.window)
        return x + self.mlp(self.norm2(x))


class MultiScaleAttention(nn.Module):
    """Attention within windows of maps, or within whole maps."""

    def __init__(self, dim: int, dim_out: int, num_heads: int, pooled: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pooled = pooled
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, x: Tensor, window: int) -> Tensor:
        """(B, H, W, dim) -> (B, H', W', dim_out)."""
        shrink = 1 + self.pooled
        size_out = x.shape[1] // shrink, x.shape[2] // shrink
        return self.proj(projected_windows(self.qkv, self._attended, x, window, size_out, shrink))

    def _attended(self, qkv: Tensor) -> Tensor:
        query, key, value = qkv.chunk(3, dim=-1)
        query = halve(query) if self.pooled else query
        out = F.scaled_dot_product_attention(self._heads(query), self._heads(key), self._heads(value))
        return out.transpose(1, 2).reshape(query.shape)

    def _heads(self, x: Tensor) -> Tensor:
        return x.flatten(1, 2).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def halve(x: Tensor) -> Tensor:
    """Max pooling by 2 of (B, H, W, C)."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def windowed(
    attend: Callable[[Tensor], Tensor],
    x: Tensor,
    window: int,
    size_out: Sequence[int],
    shrink: int = 1,
    fill: Tensor | None = None,
) -> Tensor:
    """Apply `attend` to windows of (B, H, W, C), filled up to whole windows; 0 means one window, the whole map.

    fill: (C,) what to fill up with; None is zeros. `attend` may shrink its windows by the factor `shrink` and change C;
    the result is cut to `size_out`.
    """
    if window == 0:
        return attend(x)
    batch, height, width, _ = x.shape
    rows, columns = -(-height // window), -(-width // window)
    x = _filled(_filled(x, 1, rows * window, fill), 2, columns * window, fill)
    x = x.unflatten(1, (rows, window)).unflatten(3, (columns, window)).transpose(2, 3).flatten(0, 2)
    x = attend(x)
    small = window // shrink
    x = x.unflatten(0, (batch, rows, columns)).transpose(2, 3)
    x = x.reshape(batch, rows * small, columns * small, -1)
    return x[:, : size_out[0], : size_out[1]].contiguous()  # or the layer after it would go row by row


def projected_windows(
    project: nn.Linear,
    attend: Callable[[Tensor], Tensor],
    x: Tensor,
    window: int,
    size_out: Sequence[int],
    shrink: int = 1,
) -> Tensor:
    """`attend(project(...))` in windows of (B, H, W, C), filled up with zeros; arguments as in `windowed`.

    Zeros become the bias. Where windows are to be filled up they are cut after the projection, which is then not done
    for what is filled up (two fifths of the tokens at 512 px); else before, while there is less to copy.
    """
    if window == 0 or (x.shape[1] % window == 0 and x.shape[2] % window == 0):
        return windowed(lambda cut: attend(project(cut)), x, window, size_out, shrink)
    return windowed(attend, project(x), window, size_out, shrink, fill=project.bias)


def _filled(x: Tensor, axis: int, size: int, fill: Tensor | None) -> Tensor:
    """(B, H, W, C) with rows (axis 1) or columns (axis 2) added at the end up to `size`."""
    shape = list(x.shape)
    shape[axis] = size - shape[axis]
    if not shape[axis]:
        return x
    added = x.new_zeros(()) if fill is None else fill.to(x.dtype)
    return torch.cat((x, added.expand(shape).contiguous()), dim=axis)  # or all of it would be copied value by value


def stretched(grid: Tensor, height: int, width: int) -> Tensor:
    """(1, h, w, C) -> (1, height, width, C), bicubic; as two products of matrices, ten times as fast on a CPU."""
    rows, columns = (bicubic(old, new, grid.device) for old, new in zip(grid.shape[1:3], (height, width), strict=True))
    wide = columns.to(grid.dtype) @ grid[0]
    return (rows.to(grid.dtype) @ wide.flatten(1)).unflatten(1, wide.shape[1:])[None]
