"""SAM 1's image encoder, as MedSAM has it: a plain vision transformer of stride 16 that adds relative positions to its
attention, most of it in windows.

Source: Kirillov et al. 2023 (arXiv:2304.02643); Li et al. 2022 (arXiv:2203.16527). Unlike EfficientTAM's ViTDet its
position tables are as large as the image, so the image size is part of the weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.hiera import projected_windows
from voxtrace.model.layers import LayerNorm2d


@dataclass(frozen=True, slots=True)
class Sam1VitConfig:
    """The numbers of ViT-B; blocks not named in `global_blocks` see windows of `window` x `window` tokens."""

    image_size: int = 1024
    embed_dim: int = 768
    num_heads: int = 12
    depth: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    window: int = 14
    patch: int = 16

    @property
    def embedding_size(self) -> int:
        """Side of the embedding."""
        return self.image_size // self.patch

    def build(self, dim: int) -> Sam1Vit:
        """The net, with random weights, that gives an embedding of `dim` channels."""
        return Sam1Vit(self, dim)


class Sam1Vit(nn.Module):
    """(B, 3, S, S) -> (B, dim, S/16, S/16)."""

    def __init__(self, config: Sam1VitConfig, dim: int) -> None:
        super().__init__()
        width, side = config.embed_dim, config.embedding_size
        projection = nn.Conv2d(3, width, config.patch, stride=config.patch)
        self.patch_embed = nn.Sequential(OrderedDict(proj=projection))
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, width))
        windows = (0 if index in config.global_blocks else config.window for index in range(config.depth))
        self.blocks = nn.ModuleList(RelativeBlock(width, config.num_heads, window, side) for window in windows)
        self.neck = embedding_neck(width, dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images).permute(0, 2, 3, 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class RelativeBlock(nn.Module):
    """Attention and perceptron at one width; window 0 is the whole map, `side` tokens wide."""

    def __init__(self, dim: int, num_heads: int, window: int, side: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = RelativeAttention(dim, num_heads, window or side)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> the same shape."""
        x = x + self.attn(self.norm1(x), self.window)
        return x + self.mlp(self.norm2(x))


class RelativeAttention(nn.Module):
    """Attention within each (side, side) map of a batch of maps, with a bias for how far key and query lie apart.

    The bias is q . rel_pos_h[y - y'] + q . rel_pos_w[x - x']. Written out for 64 x 64 tokens it would take 0.8 GB, so
    the two products become further channels of the query, and the key gets a 1 in the channels of its row and column.
    """

    distance: Tensor
    one_hot: Tensor

    def __init__(self, dim: int, num_heads: int, side: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * side - 1, dim // num_heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * side - 1, dim // num_heads))
        places = torch.arange(side)
        self.register_buffer("distance", places[:, None] - places + side - 1, persistent=False)
        row_column = torch.cartesian_prod(places, places)
        one_hot = F.one_hot(row_column, side).flatten(1).float()
        self.register_buffer("one_hot", one_hot, persistent=False)

    def forward(self, x: Tensor, window: int) -> Tensor:
        """(B, H, W, C) -> the same shape."""
        return self.proj(projected_windows(self.qkv, self._attended, x, window, x.shape[1:3]))

    def _attended(self, qkv: Tensor) -> Tensor:
        """(B, side, side, 3 * C) -> (B, side, side, C)."""
        query, key, value = qkv.unflatten(-1, (3, self.num_heads, -1)).permute(3, 0, 4, 1, 2, 5)
        far = torch.einsum("bnyxc,ykc->bnyxk", query, self.rel_pos_h[self.distance])
        wide = torch.einsum("bnyxc,xkc->bnyxk", query, self.rel_pos_w[self.distance])
        query = torch.cat((query * self.scale, far, wide), dim=-1).flatten(2, 3)
        places = self.one_hot.to(key.dtype).expand(*key.shape[:2], -1, -1)
        key = torch.cat((key.flatten(2, 3), places), dim=-1)
        # Fused attention wants values as wide as keys; without the padding torch falls back to the 0.8 GB.
        value = F.pad(value.flatten(2, 3), (0, places.shape[-1]))
        out = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        out = out[..., : qkv.shape[-1] // (3 * self.num_heads)]
        return out.transpose(1, 2).reshape(*qkv.shape[:3], -1)


class MLPBlock(nn.Module):
    """A perceptron of two layers with SAM 1's names."""

    def __init__(self, dim: int, hidden_dim: int, activation: Callable[[Tensor], Tensor] = F.gelu) -> None:
        super().__init__()
        self.lin1 = nn.Linear(dim, hidden_dim)
        self.lin2 = nn.Linear(hidden_dim, dim)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        return self.lin2(self.activation(self.lin1(x)))


def embedding_neck(width: int, dim: int) -> nn.Sequential:
    """The end of SAM 1's encoders: 1 x 1 and 3 x 3 convolutions, each with a norm over channels."""
    return nn.Sequential(
        nn.Conv2d(width, dim, kernel_size=1, bias=False),
        LayerNorm2d(dim),
        nn.Conv2d(dim, dim, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(dim),
    )
