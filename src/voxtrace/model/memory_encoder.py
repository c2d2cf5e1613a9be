"""The memory encoder: what a frame looked like and where the object was become one small map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.layers import LayerNorm2d
from voxtrace.model.position import sine_map


class MaskDownSampler(nn.Module):
    """Four strided convolutions, 1 -> 4 -> 16 -> 64 -> 256 channels, then a projection: stride 16."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential()
        for step in range(4):
            self.encoder.append(nn.Conv2d(4**step, 4 ** (step + 1), kernel_size=3, stride=2, padding=1))
            self.encoder.append(LayerNorm2d(4 ** (step + 1)))
            self.encoder.append(nn.GELU())
        self.encoder.append(nn.Conv2d(256, dim, kernel_size=1))

    def forward(self, masks: Tensor) -> Tensor:
        """(N, 1, S, S) -> (N, C, S/16, S/16)."""
        return self.encoder(masks)


class CXBlock(nn.Module):
    """A ConvNeXt block (Liu et al. 2022)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm2d(dim)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w), same shape out."""
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)


class Fuser(nn.Module):
    """ConvNeXt blocks in a row."""

    def __init__(self, dim: int, num_layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CXBlock(dim) for _ in range(num_layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class MemoryEncoder(nn.Module):
    """Raw image embedding plus mask -> memory map of `out_dim` channels."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownSampler(dim)
        self.pix_feat_proj = nn.Conv2d(dim, dim, kernel_size=1)
        self.fuser = Fuser(dim)
        self.out_proj = nn.Conv2d(dim, out_dim, kernel_size=1)

    def forward(self, embedding: Tensor, masks: Tensor) -> Tensor:
        """(1 or N, C, h, w), (N, 1, 16h, 16w) scaled probabilities -> (N, out_dim, h, w)."""
        return self.out_proj(self.fuser(self.pix_feat_proj(embedding) + self.mask_downsampler(masks)))


class WholeMap(nn.Module):
    """How SAM 2 keeps a memory: unchanged. Anything else that keeps memories has the same three methods."""

    def forward(self, memory: Tensor) -> Tensor:
        """(N, C, h, w) from the memory encoder -> what is kept of it."""
        return memory

    def tokens(self, kept: Tensor) -> Tensor:
        """What was kept -> (N, M, C) tokens."""
        return kept.flatten(2).transpose(1, 2)

    def positions(self, kept: Tensor) -> Tensor:
        """What was kept -> (1, M, C): where its tokens are."""
        return sine_map(kept).flatten(2).transpose(1, 2)
