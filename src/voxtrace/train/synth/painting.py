"""Tones and textures for every label and for the tissues behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxtrace.train.synth.canvas import Canvas
from voxtrace.train.synth.fields import blurred, smooth_field

APART = 0.06  # tones of neighbours differ by so much of the whole scale, if they can


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """map: (D, H, W) int64; the first `tissues` values are unlabelled, label i is i + tissues - 1. air: the value of
    what surrounds the body, or -1."""

    map: np.ndarray
    tissues: int
    air: int = -1


def regions_of(rng: np.random.Generator, canvas: Canvas) -> Regions:
    """One to four tissues behind the labels, and in many cases a body with air around; nothing is drawn in the air."""
    tissues = int(rng.integers(1, 5))
    behind = np.zeros(canvas.shape, np.int64)
    if tissues > 1:
        ground = smooth_field(rng, canvas.shape, (rng.uniform(15, 50),) * 3).numpy()
        behind = np.digitize(ground, np.linspace(-1, 1, tissues + 1)[1:-1]).astype(np.int64)
    if rng.random() < 0.35:
        outside = _outside(rng, canvas)
        behind[outside] = tissues
        canvas.labels[outside] = 0
        return Regions(np.where(canvas.labels > 0, canvas.labels + tissues, behind), tissues + 1, tissues)
    return Regions(np.where(canvas.labels > 0, canvas.labels + tissues - 1, behind), tissues)


def painted(
    rng: np.random.Generator, canvas: Canvas, channels: int, device: str | torch.device = "cpu"
) -> tuple[Tensor, Regions]:
    """(channels, D, H, W) float32 in 0..1 without what a scanner adds. What lies in the air is taken off the canvas."""
    regions = regions_of(rng, canvas)
    tones = _tones(rng, canvas, regions, channels)
    index = torch.from_numpy(regions.map).to(device)
    image = torch.from_numpy(tones.T.copy()).to(device)[:, index]
    image = _textured(rng, image, index, len(tones), regions)
    if canvas.seamed and rng.random() < 0.9:
        image = _seams(rng, image, canvas, device)
    return _soft(rng, image), regions


def _tones(rng: np.random.Generator, canvas: Canvas, regions: Regions, channels: int) -> np.ndarray:
    """(regions, channels) float32; a group's members are alike and unlike what they touch."""
    ground = rng.uniform(0.05, 0.95, (1, channels)) + rng.normal(0, 0.12, (regions.tissues, channels))
    if regions.air >= 0:
        ground[regions.air] = rng.uniform(0, 0.06)
    ground = ground.clip(0.0, 0.98)
    middle = np.delete(ground, regions.air, 0).mean(0) if regions.air >= 0 else ground.mean(0)
    step = rng.choice([-1, 1]) * rng.uniform(0.08, 0.45)
    spread = 0.15 if rng.random() < 0.6 else 0.04
    count = len(canvas.groups)
    kinds = middle + step + rng.normal(0, spread, (max(canvas.groups, default=0) + 1, channels))
    own = kinds[canvas.groups] + rng.normal(0, 0.02, (count, channels)) if count else np.zeros((0, channels))
    tones = np.concatenate([ground, own]).clip(0.02, 0.98)
    touching = _touching(regions.map, len(tones))
    groups = np.array([*range(-regions.tissues, 0), *canvas.groups])
    settled = np.arange(len(tones)) < regions.tissues
    for region in range(regions.tissues, len(tones)):
        rivals = tones[touching[region] & settled & (groups != groups[region])]
        tones[region] = _unlike(tones[region], rivals, np.sign(step))
        settled[region] = True
    return tones.astype(np.float32)


def _unlike(tone: np.ndarray, rivals: np.ndarray, sign: float) -> np.ndarray:
    """The tone, moved as little as is needed to differ from all rivals."""
    if not len(rivals):
        return tone
    moves = [0.0, *(way * step for step in np.arange(0.03, 0.6, 0.03) for way in (sign, -sign))]
    tried = np.clip(tone + np.array(moves)[:, None], 0.02, 0.98)
    apart = np.abs(tried[:, None] - rivals).max(-1).min(1)
    good = np.flatnonzero(apart >= APART)
    return tried[good[0] if len(good) else int(apart.argmax())]


def _touching(regions: np.ndarray, count: int) -> np.ndarray:
    """(count, count) bool: which regions have voxels side by side."""
    found = np.zeros(count * count, bool)
    for axis in range(3):
        first, second = (
            regions.take(range(regions.shape[axis] - 1), axis),
            regions.take(range(1, regions.shape[axis]), axis),
        )
        border = first != second
        found |= np.bincount(first[border] * count + second[border], minlength=count * count) > 0
    table = found.reshape(count, count)
    return table | table.T


def _textured(rng: np.random.Generator, image: Tensor, index: Tensor, count: int, regions: Regions) -> Tensor:
    """Three textures, of which every region has its own mixture: fine grain, blotches, fibres that run one way."""
    shape = tuple(index.shape)
    rough = rng.uniform(0, 0.09) * np.exp(rng.normal(0, 0.5, (count, 1))) * rng.dirichlet([0.6] * 3, count)
    patchy = rng.random(count) < 0.25
    rough[:, 1] += patchy * rng.uniform(0.03, 0.1, count)  # inhomogeneous inside
    rough = rough.clip(0, 0.1)
    if regions.air >= 0:
        rough[regions.air] *= 0.1
    strength = torch.from_numpy(rough.T.astype(np.float32)).to(image.device)
    fine, coarse = rng.uniform(2, 5), rng.uniform(6, 16)
    along = [rng.uniform(1.5, 3)] * 3
    along[int(rng.integers(1, 3))] = rng.uniform(15, 40)
    for which, periods in enumerate(((fine,) * 3, (coarse,) * 3, tuple(along))):
        if which == 2 and rng.random() < 0.6:
            continue
        field = smooth_field(rng, shape, periods, image.device)  # type: ignore[arg-type]
        image = image + field * strength[which][index]
    return image


def _seams(rng: np.random.Generator, image: Tensor, canvas: Canvas, device: str | torch.device) -> Tensor:
    """Darker or brighter lines where members of a group that touch each other meet."""
    own = np.array([False, *(group in canvas.seamed for group in canvas.groups)])
    labels, seam = canvas.labels, np.zeros(canvas.shape, bool)
    for axis in range(3):
        first = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        second = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        meet = (labels[first] != labels[second]) & own[labels[first]] & own[labels[second]]
        seam[first] |= meet
        seam[second] |= meet
    depth = float(rng.choice([-1, 1], p=[0.7, 0.3]) * rng.uniform(0.1, 0.3))
    return image + depth * torch.from_numpy(seam).to(device)


def _soft(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Borders as sharp as the scanner is; in some cases they all but vanish in places."""
    sharp = rng.uniform(0, 1.2)
    image = blurred(image, (rng.uniform(0, 1) * sharp, sharp, sharp))
    if rng.random() < 0.25:
        shape: tuple[int, int, int] = tuple(image.shape[1:])  # type: ignore[assignment]
        where = smooth_field(rng, shape, (25.0, 25.0, 25.0), image.device).sub_(0.4).mul_(2).clamp_(0, 1)
        strong = rng.uniform(1.5, 3.0)
        image = image + where * (blurred(image, (0, strong, strong)) - image)
    return image


def _outside(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    """(D, H, W) bool: beyond a body that fills most of the frame."""
    _, height, width = canvas.shape
    y = (np.arange(height, dtype=np.float32)[:, None] / height - rng.uniform(0.45, 0.55)) / rng.uniform(0.36, 0.55)
    x = (np.arange(width, dtype=np.float32) / width - rng.uniform(0.45, 0.55)) / rng.uniform(0.36, 0.55)
    bent = smooth_field(rng, canvas.shape, (40.0, 25.0, 25.0)).numpy()
    return np.abs(y) ** 2.5 + np.abs(x) ** 2.5 > 1 + 0.12 * bent
