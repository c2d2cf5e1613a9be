"""Thin things: rings and walls, crescents, folded bands as the cortex is, layers as in the retina."""

from __future__ import annotations

import numpy as np

from voxtrace.train.synth.canvas import Canvas, ellipsoid, grid
from voxtrace.train.synth.fields import smooth_noise


def walls(rng: np.random.Generator, canvas: Canvas) -> None:
    """Hollow things: the wall, and sometimes what it holds. Some walls are open: a C, a cup, a crescent."""
    for _ in range(int(rng.integers(1, 3))):
        box, inside = ellipsoid(rng, canvas.shape, rng.uniform(0.12, 0.36), lumps=rng.uniform(0, 0.25))
        thickness = rng.uniform(0.08, 0.35)
        hollow = inside < (1 - thickness) ** 2
        wall = (inside < 1) & ~hollow
        if rng.random() < 0.35:
            wall &= _wedge(rng, inside.shape)
        canvas.fill(box, wall, canvas.group())
        if rng.random() < 0.5:
            canvas.fill(box, hollow, canvas.group())


def folds(rng: np.random.Generator, canvas: Canvas) -> None:
    """A band of even thickness along a folded surface, with or without what lies within it."""
    size = rng.uniform(0.25, 0.42)
    box, inside = ellipsoid(rng, canvas.shape, size, lumps=0.0, stretch=0.12)
    radius = size * min(canvas.shape[1:])
    depth, period = rng.uniform(0.1, 0.3), rng.uniform(0.22, 0.5) * radius
    shape = inside.shape
    folded = np.sqrt(inside) + depth * smooth_noise(rng, shape, max(period, 5.0))  # type: ignore[arg-type]
    thickness = rng.uniform(2.0, 4.5)
    band = np.abs(folded - 0.75) < 0.5 * thickness * _slope(folded)
    canvas.fill(box, (folded < 0.75) & ~band if rng.random() < 0.6 else np.zeros_like(band), canvas.group())
    if rng.random() < 0.3:
        band &= _wedge(rng, shape)
    canvas.fill(box, band, canvas.group())


def layers(rng: np.random.Generator, canvas: Canvas) -> None:
    """Two to six bands on one another across the frame, their borders nearly parallel."""
    shape = canvas.shape
    if rng.random() < 0.5:
        height = np.arange(shape[1], dtype=np.float32)[:, None]
    else:
        height = np.arange(shape[2], dtype=np.float32)
    along = shape[1] if height.ndim == 2 else shape[2]
    bent = height + rng.uniform(0.02, 0.12) * along * smooth_noise(rng, shape, rng.uniform(0.4, 1.2) * along)
    border = rng.uniform(0.15, 0.5) * along
    for _ in range(int(rng.integers(2, 7))):
        thick = rng.uniform(0.025, 0.11) * along
        own = border + thick * (1 + 0.25 * smooth_noise(rng, shape, rng.uniform(0.2, 0.5) * along))
        band = (bent >= border) & (bent < own)
        if rng.random() < 0.75:
            canvas.fill((slice(None),) * 3, band, canvas.group())
        border = border + thick


def _wedge(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """True on one side of a plane near the middle."""
    z, y, x = grid(tuple(slice(0, s) for s in shape), (np.array(shape) - 1) / 2)
    normal = rng.normal(size=3)
    normal = normal / np.linalg.norm(normal[1:])
    return np.asarray(normal[0] * z + normal[1] * y + normal[2] * x < rng.uniform(-0.1, 0.3) * min(shape[1:]))


def _slope(field: np.ndarray) -> np.ndarray:
    """By how much a field changes a voxel, in the plane and along z: a level's thickness divided by it is even."""
    square = np.full(field.shape, 1e-8, np.float32)
    for axis in range(3):
        if field.shape[axis] > 2:
            square += np.square(np.gradient(field, axis=axis))
    return np.sqrt(square)
