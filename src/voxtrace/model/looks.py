"""What an object looks like, where nothing tells its place: a rough mask from the colours of pictures that show it.

A pixel belongs to the object if its colour is nearer to those inside the masks of the pictures shown than to those
outside. That is drawn only where it is enough to find the object again on the first of these pictures: stained nuclei
are told by their colour, nerves in ultrasound are not. A hinted net takes it as a mask to improve.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 128  # pictures are looked at in no more pixels
SAMPLES = 512  # colours inside, and as many outside
NEIGHBOURS = 5
SOFTNESS = 0.1  # distance, in standard deviations, below which two colours are not told apart
GAIN = 60.0  # of a difference of distances, relative to their sum, to logits
SURE = 10.0
RELIABLE = 0.8  # Dice on the first picture


def looks(image: Tensor, shown: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Rough masks of N objects and whether each can be relied on: logits (N, 1, S, S) within +-10 and (N,) bool.

    image: (1 or N, 3, S, S); shown: masks' logits (N, 1, S, S) and their pictures (1 or N, 3, S, S), the one by which
    reliability is judged first. Where a mask is empty or full nothing can be compared: logits 0, not reliable.
    """
    count = len(shown[0][0])
    drawn, reliable = [], []
    for index in range(count):
        own = _colours(image[index % len(image)])
        known = [(_colours(picture[index % len(picture)]), _small(logits[index])[0] > 0) for logits, picture in shown]
        inside, outside = (
            torch.cat([_sample(colours[:, where == side], SAMPLES // len(known)) for colours, where in known])
            for side in (True, False)
        )
        if min(len(inside), len(outside)) <= NEIGHBOURS:
            drawn.append(image.new_zeros(1, *image.shape[-2:]))
            reliable.append(False)
            continue
        map_of = _nearer(own, inside, outside, skip=0)
        drawn.append(F.interpolate(map_of[None], size=image.shape[-2:], mode="bilinear", align_corners=False)[0])
        first, mask = known[0]
        first, mask = first[:, ::2, ::2], mask[::2, ::2]  # a quarter of the pixels is enough to judge by
        again = _nearer(first, inside, outside, skip=1)[0] > 0
        reliable.append(bool(2 * (again & mask).sum() >= RELIABLE * (again.sum() + mask.sum())))
    return (GAIN * torch.stack(drawn)).clamp(-SURE, SURE), torch.tensor(reliable, device=image.device)


def _nearer(colours: Tensor, inside: Tensor, outside: Tensor, skip: int) -> Tensor:
    """(3, h, w) -> (1, h, w) in -1..1, smoothed over 3 x 3 pixels: how much nearer each is to the colours inside (n, 3)
    than to those outside. skip: nearest ones left out, 1 where pixels are among the samples themselves."""
    pixels = colours.flatten(1).T

    def far(samples: Tensor) -> Tensor:
        nearest = torch.cdist(pixels, samples).topk(NEIGHBOURS + skip, largest=False).values
        return nearest[:, skip:].mean(1)

    to_inside, to_outside = far(inside), far(outside)
    nearer = (to_outside - to_inside) / (to_outside + to_inside + SOFTNESS)
    return F.avg_pool2d(F.pad(nearer.view(1, *colours.shape[1:]), (1, 1, 1, 1), mode="replicate"), 3, 1)


def _colours(picture: Tensor) -> Tensor:
    """(3, S, S) -> (3, h, w), each channel of mean 0 and deviation 1: one stain or lamp is not like the other."""
    picture = _small(picture.float())
    spread, mean = torch.std_mean(picture, dim=(1, 2), keepdim=True)
    return (picture - mean) / (spread + 0.1)


def _small(picture: Tensor) -> Tensor:
    """(C, S, S) with S at most SIDE."""
    if picture.shape[-1] <= SIDE:
        return picture
    return F.interpolate(picture[None].float(), size=(SIDE, SIDE), mode="area")[0]


def _sample(colours: Tensor, count: int) -> Tensor:
    """(3, n) -> at most (count, 3), evenly spread."""
    total = colours.shape[1]
    picks = torch.linspace(0, total - 1, min(count, total), device=colours.device).long()
    return colours[:, picks].T
