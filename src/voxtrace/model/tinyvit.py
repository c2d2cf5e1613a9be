"""LiteMedSAM's image encoder: TinyViT, convolutions at the finest scale and windowed attention at the other three.

Source: Wu et al. 2022 (arXiv:2207.10666). LiteMedSAM differs from the published TinyViT: patches are single pixels,
and the last merge keeps its resolution, so that 256 pixels become a 64 x 64 embedding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.hiera import windowed
from voxtrace.model.vit_sam1 import embedding_neck


@dataclass(frozen=True, slots=True)
class TinyVitConfig:
    """LiteMedSAM's numbers, one a stage. The first stage has no attention: its heads and window stand for nothing.

    strides: by how much the merge after a stage shrinks the map.
    """

    image_size: int = 256
    widths: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (2, 4, 5, 10)
    windows: tuple[int, ...] = (7, 7, 14, 7)
    strides: tuple[int, ...] = (2, 2, 1)

    @property
    def embedding_size(self) -> int:
        """Side of the embedding."""
        side = self.image_size
        for stride in self.strides:
            side //= stride
        return side

    def build(self, dim: int) -> TinyVit:
        """The net, with random weights, that gives an embedding of `dim` channels."""
        return TinyVit(self, dim)


class TinyVit(nn.Module):
    """(B, 3, S, S) -> (B, dim, S/4, S/4)."""

    def __init__(self, config: TinyVitConfig, dim: int) -> None:
        super().__init__()
        self.patch_embed = PixelEmbed(config.widths[0])
        self.layers = nn.ModuleList()
        for index, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            blocks: list[nn.Module]
            if index == 0:
                blocks = [MBConv(width) for _ in range(depth)]
            else:
                blocks = [TinyVitBlock(width, config.heads[index], config.windows[index]) for _ in range(depth)]
            last = index == len(config.strides)
            merge = nn.Identity() if last else PatchMerging(width, config.widths[index + 1], config.strides[index])
            self.layers.append(Stage(blocks, merge))
        self.neck = embedding_neck(config.widths[-1], dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images)
        for stage in self.layers:
            x = stage(x)
        return self.neck(x)


class Stage(nn.Module):
    """Blocks at one scale, and the step to the next."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        for block in self.blocks:
            x = block(x)
        return self.downsample(x)


class PixelEmbed(nn.Module):
    """Each pixel on its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(conv_bn(3, width // 2, 1), nn.GELU(), conv_bn(width // 2, width, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H, W)."""
        return self.seq(images)


class MBConv(nn.Module):
    """Four times as wide inside: 1 x 1, 3 x 3 a channel, 1 x 1; the last activation comes after the shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(width, 4 * width, 1)
        self.conv2 = conv_bn(4 * width, 4 * width, 3, groups=4 * width)
        self.conv3 = conv_bn(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        inner = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return F.gelu(x + self.conv3(inner))


class PatchMerging(nn.Module):
    """To the next stage's width and resolution."""

    def __init__(self, width: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn(width, width_out, 1)
        self.conv2 = conv_bn(width_out, width_out, 3, stride=stride, groups=width_out)
        self.conv3 = conv_bn(width_out, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width_out, H / stride, W / stride)."""
        return self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))


class TinyVitBlock(nn.Module):
    """Attention in windows, a 3 x 3 convolution without shortcut, and a perceptron."""

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = BiasedAttention(dim, num_heads, window)
        self.local_conv = conv_bn(dim, dim, 3, groups=dim)
        self.mlp = NormedMLP(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        # The attention's norm comes after the zeros that fill up the windows, so these act as tokens of their own.
        attended = windowed(self.attn, x.permute(0, 2, 3, 1), self.window, (x.shape[2], x.shape[3]))
        x = self.local_conv(x + attended.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return (x + self.mlp(x)).permute(0, 3, 1, 2)


class BiasedAttention(nn.Module):
    """Attention within windows, with a learnt bias for each distance (|dy|, |dx|), the same in all four directions."""

    distance: Tensor

    def __init__(self, dim: int, num_heads: int, window: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window * window))
        self.register_buffer("distance", window_distances(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, window, window, C) -> the same shape."""
        # Each head's query, key and value lie side by side: heads first, then the three.
        qkv = self.qkv(self.norm(x)).flatten(1, 2).unflatten(-1, (self.num_heads, 3, -1))
        query, key, value = qkv.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self.distance].to(query.dtype)[None]  # fused attention wants four axes
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.proj(out.transpose(1, 2).reshape(x.shape))


def window_distances(window: int) -> Tensor:
    """(T, T) int64 for the T = window² tokens of a window: |dy| * window + |dx|."""
    places = torch.arange(window)
    rows, columns = torch.cartesian_prod(places, places).unbind(1)
    return (rows[:, None] - rows).abs() * window + (columns[:, None] - columns).abs()


class NormedMLP(nn.Module):
    """A perceptron of two layers that norms its input."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        return self.fc2(F.gelu(self.fc1(self.norm(x))))


def conv_bn(width: int, width_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the resolution at stride 1, and a batch norm."""
    convolution = nn.Conv2d(width, width_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(c=convolution, bn=nn.BatchNorm2d(width_out)))
