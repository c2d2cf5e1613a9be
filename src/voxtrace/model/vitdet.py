"""ViTDet, EfficientTAM's trunk and neck: a plain vision transformer of stride 16 with attention in windows.

Source: Li et al. 2022 (arXiv:2203.16527); Xiong et al. 2024, EfficientTAM (arXiv:2411.18933).
The position table was learnt for 14 x 14 patches and a class token; it is stretched over the frame, so every image
size that is a multiple of 16 will do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.hiera import projected_windows, stretched
from voxtrace.model.layers import MLP, LayerNorm2d

LEARNT_GRID = 14  # side of the position table, in patches


@dataclass(frozen=True, slots=True)
class VitDetConfig:
    """The numbers that make a ViTDet; blocks not named in `global_blocks` see windows of `window` x `window` tokens."""

    embed_dim: int
    num_heads: int
    depth: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    window: int = 14
    patch: int = 16

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the one map."""
        return (self.embed_dim,)

    def build(self) -> VitDet:
        """The net, with random weights."""
        return VitDet(self)


class VitDet(nn.Module):
    """(B, 3, H, W) -> one map in a list, (B, C, H/16, W/16)."""

    def __init__(self, config: VitDetConfig) -> None:
        super().__init__()
        self.channels = config.channels
        projection = nn.Conv2d(3, config.embed_dim, config.patch, stride=config.patch)
        self.patch_embed = nn.Sequential(OrderedDict(proj=projection))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + LEARNT_GRID**2, config.embed_dim))
        windows = (0 if index in config.global_blocks else config.window for index in range(config.depth))
        self.blocks = nn.ModuleList(VitBlock(config.embed_dim, config.num_heads, window) for window in windows)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.patch_embed(images).permute(0, 2, 3, 1)
        x = x + stretched_positions(self.pos_embed, x.shape[1], x.shape[2])
        for block in self.blocks:
            x = block(x)
        return [x.permute(0, 3, 1, 2)]


def stretched_positions(table: Tensor, height: int, width: int) -> Tensor:
    """(1, 1 + 14 * 14, C), the class token's first -> (1, height, width, C), bicubic."""
    return stretched(table[:, 1:].unflatten(1, (LEARNT_GRID, LEARNT_GRID)), height, width)


class VitBlock(nn.Module):
    """Attention and perceptron at one width; window 0 is the whole map."""

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = VitAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim, 4 * dim, dim, 2, activation=F.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> the same shape."""
        x = x + self.attn(self.norm1(x), self.window)
        return x + self.mlp(self.norm2(x))


class VitAttention(nn.Module):
    """Attention within windows of maps, or within whole maps."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, window: int) -> Tensor:
        """(B, H, W, C) -> the same shape."""
        return self.proj(projected_windows(self.qkv, self._attended, x, window, x.shape[1:3]))

    def _attended(self, qkv: Tensor) -> Tensor:
        heads = qkv.flatten(1, 2).unflatten(-1, (3, self.num_heads, -1))
        out = F.scaled_dot_product_attention(*heads.permute(2, 0, 3, 1, 4))
        return out.transpose(1, 2).reshape(*qkv.shape[:3], -1)


class VitDetNeck(nn.Module):
    """The one map to `dim` channels: 1 x 1 and 3 x 3 convolutions, each with a norm over channels."""

    def __init__(self, dim: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_level(dim, width) for width in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps -> as many maps of `dim` channels, at their own resolution."""
        return [level(one) for level, one in zip(self.convs, maps, strict=True)]


def _level(dim: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv_1x1=nn.Conv2d(width, dim, kernel_size=1, bias=False),
            norm_0=LayerNorm2d(dim),
            conv_3x3=nn.Conv2d(dim, dim, kernel_size=3, padding=1, bias=False),
            norm_1=LayerNorm2d(dim),
        )
    )
