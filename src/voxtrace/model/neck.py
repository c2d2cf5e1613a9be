"""The feature pyramid that brings a trunk's maps to one width, and the image encoder made of both."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class FpnNeck(nn.Module):
    """1 x 1 convolutions to `dim` channels; the coarsest map is added, enlarged, to those named in `top_down`."""

    def __init__(self, dim: int, channels: Sequence[int], top_down: Sequence[int] = (2, 3)) -> None:
        super().__init__()
        self.top_down = tuple(top_down)
        # Official order: coarsest first.
        self.convs = nn.ModuleList(nn.Sequential() for _ in channels)
        for level, width in zip(self.convs, reversed(channels), strict=True):
            level.add_module("conv", nn.Conv2d(width, dim, kernel_size=1))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps, finest first -> as many maps of `dim` channels, finest first."""
        out: list[Tensor] = []
        above = None
        for conv, level in zip(self.convs, reversed(range(len(maps))), strict=True):
            lateral = conv(maps[level])
            if level in self.top_down and above is not None:
                lateral = lateral + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = lateral
            out.insert(0, lateral)
        return out


class ImageEncoder(nn.Module):
    """Trunk and neck; the `scalp` coarsest maps are dropped."""

    def __init__(self, trunk: nn.Module, neck: nn.Module, scalp: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck
        self.scalp = scalp

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, S, S) -> maps, finest first; the last is the embedding, at stride 16."""
        maps = self.neck(self.trunk(images))
        return maps[: len(maps) - self.scalp]
