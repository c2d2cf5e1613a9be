"""The small net's drawing hand: a U-Net on the bare picture that corrects a mask it is shown.

SAM's decoder tells objects apart by one dot product a pixel at stride 4, which takes much data to learn and cannot
place a border finely. This net sees the picture in full resolution together with the mask shown (the drawn prompt, or
the mask of the frame before) and the picture which that mask belongs to, as in mask propagation (Perazzi et al. 2017,
arXiv:1612.02646), and returns a change of the logits. What the memories say comes in at stride 16.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.sketch import SURE

WIDTHS = (32, 64, 112, 160)  # channels at strides 2, 4, 8, 16
DEPTHS = (1, 2, 2, 2)
GROUPS = 8
PLANES = 3 + 3 + 1 + 1  # picture, picture shown, mask shown, its grey values' force


class Refiner(nn.Module):
    """Pictures, masks shown and what is remembered -> a change of the masks' logits, and presence."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.stem = _conv_in(4 * PLANES, WIDTHS[0], 3)
        self.down = nn.ModuleList(_conv_in(a, b, 2) for a, b in itertools.pairwise(WIDTHS))
        self.fine = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth))) for width, depth in zip(WIDTHS, DEPTHS, strict=True)
        )
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in itertools.pairwise(WIDTHS))
        self.joined = nn.ModuleList(Block(width) for width in WIDTHS[:-1])
        self.remembered = nn.Conv2d(dim, WIDTHS[-1], 1)
        self.out = nn.Conv2d(WIDTHS[0], 4, 3, padding=1)
        self.presence = nn.Sequential(nn.Linear(2 * WIDTHS[-1], 64), nn.ReLU(), nn.Linear(64, 1))
        for parameter in self.remembered.parameters():  # it learns to draw before it learns to remember
            nn.init.zeros_(parameter)

    def forward(
        self,
        image: Tensor,
        hint: Tensor,
        shown: Tensor,
        embedding: Tensor | None = None,
        placed: bool | Tensor = True,
    ) -> tuple[Tensor, Tensor]:
        """Logits' change (N, 1, S, S) and presence logits (N, 1).

        image, shown: (1 or N, 3, S, S), S a multiple of 16; hint: (N, 1, S, S) logits on `shown`;
        embedding: (N, C, S/16, S/16) conditioned on memories, or None.
        placed: whether the object is about where it is on `shown` (a truth, or a tensor of 0 or 1); else that frame
        only tells what it looks like.
        """
        count = hint.shape[0]
        alike = force(image, shown, hint)
        if placed is not True:
            shown, hint = placed * shown + (1.0 - placed) * image, placed * hint
        planes = (image.expand(count, -1, -1, -1), shown.expand(count, -1, -1, -1), hint / SURE, alike)
        x = torch.cat(planes, dim=1)
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for before, blocks in zip((self.stem, *self.down), self.fine, strict=True):
            x = before(x)
            if embedding is not None and len(maps) == len(WIDTHS) - 1:
                x = x + self.remembered(embedding)
            x = blocks(x)
            maps.append(x)
        presence = self.presence(torch.cat((x.mean((2, 3)), x.amax((2, 3))), dim=1))
        for index in reversed(range(len(self.up))):
            x = maps[index] + F.interpolate(self.up[index](x), scale_factor=2.0, mode="nearest")
            x = self.joined[index](x)
        return F.pixel_shuffle(self.out(x), 2), presence


def mirrored(refiner: Refiner) -> Callable[..., tuple[Tensor, Tensor]]:
    """The same call, answered by the mean over the picture and its three mirror images: errors that depend on a side
    cancel out, at four times the cost."""

    def draw(
        image: Tensor, hint: Tensor, shown: Tensor, embedding: Tensor | None = None, placed: bool | Tensor = True
    ) -> tuple[Tensor, Tensor]:
        count = hint.shape[0]
        flips = ((), (3,), (2,), (2, 3))
        turned = [
            torch.cat([x.expand(count, -1, -1, -1).flip(axes) for axes in flips])
            for x in (image, hint, shown, *(() if embedding is None else (embedding,)))
        ]
        change, presence = refiner(*turned, placed=placed)
        change, presence = (x.unflatten(0, (len(flips), count)) for x in (change, presence))
        back = [change[i].flip(axes) for i, axes in enumerate(flips)]
        return torch.stack(back).mean(0), presence.mean(0)

    return draw


class Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut. Group norms: modalities are too unlike for statistics over a batch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(GROUPS, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(GROUPS, width)
        nn.init.constant_(self.norm2.weight, 0.2)  # near the identity at first

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return F.relu(x + self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x))))))


def force(image: Tensor, shown: Tensor, hint: Tensor) -> Tensor:
    """(N, 1, S, S) in -1..1: how much nearer a pixel's values are to the mean inside the hint than to that outside it,
    both taken from the picture shown with it (the data term of Chan and Vese 2001)."""
    inside, outside = (prototype(shown, weight) for weight in (hint.clamp(min=0), (-hint).clamp(min=0)))
    far = [(image - mean).square().mean(1, keepdim=True) for mean in (inside, outside)]
    return (far[1] - far[0]) / (far[0] + far[1] + 0.05)


def prototype(features: Tensor, weight: Tensor) -> Tensor:
    """(N, C, 1, 1): mean of features (1 or N, C, h, w) weighted by (N, 1, h, w); 0 where nothing has weight."""
    total = weight.sum((2, 3), keepdim=True)
    return (features * weight).sum((2, 3), keepdim=True) / total.clamp(min=1e-3)


def _conv_in(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """A 3 x 3 convolution, or a halving 2 x 2 one, with norm."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1) if size == 3 else nn.Conv2d(inputs, outputs, 2, stride=2)
    return nn.Sequential(conv, nn.GroupNorm(GROUPS, outputs), nn.ReLU())
