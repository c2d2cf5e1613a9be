"""A prompt drawn as a rough mask: the ellipse in its box, discs at its clicks.

SAM's nets read a prompt's tokens alone. A net trained from little data learns far sooner from a picture of the prompt
in its own grid, so hinted nets are given both.
"""

from __future__ import annotations

import torch
from torch import Tensor

SURE = 10.0  # logits, as SAM 2 writes a given mask
CLICK_RADIUS = 0.03  # of the image's side
# Sure outside, in half box sides from its middle. Not 1.15: in boxes of whole pixels some would lie on that edge, and
# rounding, which differs between runtimes, would choose their side.
OUTSIDE = 1.1501


def sketch(points_xy: Tensor, labels: Tensor, image_size: int, size: int, masks: Tensor | None = None) -> Tensor:
    """N objects' prompts as logits (N, 1, size, size).

    points_xy (N, P, 2) in image pixels, 0 = centre of the first; labels (N, P) as in PromptEncoder.
    masks: (N, 1, size, size) logits known already; clicks are drawn over them and boxes left out.
    """
    drawn = _ellipses(points_xy, labels, image_size, size) if masks is None else masks
    clicked = clicks(points_xy, labels, image_size, size)
    return torch.where(clicked == 0, drawn, SURE * clicked)


def clicks(points_xy: Tensor, labels: Tensor, image_size: int, size: int) -> Tensor:
    """(N, 1, size, size): 1 in the discs of positive clicks, -1 in those of negative ones, else 0."""
    places, unit = _places(size, points_xy), (points_xy + 0.5) / image_size
    x, y = unit[..., 0, None, None], unit[..., 1, None, None]
    near = (places[:, None] - y).square() + (places - x).square() < CLICK_RADIUS**2
    positive, negative = ((near & (labels == kind)[..., None, None]).any(1, keepdim=True) for kind in (1, 0))
    return torch.where(negative, -1.0, positive.to(points_xy.dtype))


def _places(size: int, like: Tensor) -> Tensor:
    """Centres of pixels along one side, the side being 1."""
    return (torch.arange(size, device=like.device) + 0.5) / size


def _ellipses(points_xy: Tensor, labels: Tensor, image_size: int, size: int) -> Tensor:
    """(N, 1, size, size): sure inside the box's ellipse, sure outside the box, 0 where nothing is known."""
    places, unit = _places(size, points_xy), (points_xy + 0.5) / image_size
    start, stop = (torch.where((labels == kind)[..., None], unit, 0.0).sum(1) for kind in (2, 3))
    boxed = (labels == 2).any(1)[:, None, None]
    half = ((stop - start) / 2).clamp(min=1 / size)[..., None, None]  # a thin box is a line of two pixels, not nothing
    away = torch.stack((places.expand(len(places), -1), places[:, None].expand(-1, len(places))))
    away = (away - ((start + stop) / 2)[..., None, None]) / half
    inside = (SURE * 2 * (1 - away.square().sum(1))).clamp(-SURE / 2, SURE)
    outside = (away.abs() > OUTSIDE).any(1)
    drawn = torch.where(outside, -SURE, inside)
    return torch.where(boxed, drawn, torch.zeros_like(drawn))[:, None]
