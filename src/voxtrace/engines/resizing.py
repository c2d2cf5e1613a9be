"""Resizing in numpy, equal to PyTorch's interpolate (corners not aligned) to about 1e-5: nets were trained with it.

Along each axis a new pixel is a weighted mean of a few old ones. Scaling down with `antialias` widens the kernel by the
scale, so that every old pixel counts (as Pillow does).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np

Kind = Literal["bilinear", "bicubic"]
DENSE = 512  # old pixels along an axis up to which a full matrix of weights is fastest
PLAIN = "two neighbours"  # without antialias: the nearest old pixels on either side, whatever the scale
SINGLE = np.float32


def resize(x: np.ndarray, shape: tuple[int, int], antialias: bool = False, kind: Kind = "bilinear") -> np.ndarray:
    """(..., H, W) any number -> (..., *shape) float32. bicubic always with antialias."""
    x = x.astype(SINGLE, copy=False)
    how = kind if antialias or kind == "bicubic" else PLAIN
    for axis, size in ((-1, shape[1]), (-2, shape[0])):
        if x.shape[axis] != size:
            x = _along(x, axis, size, how)
    return x


def _along(x: np.ndarray, axis: int, size: int, how: str) -> np.ndarray:
    start, weights = _taps(x.shape[axis], size, how)
    if how != PLAIN and x.shape[axis] > DENSE:
        return _by_pieces(x, axis, start, weights)
    matrix = _matrix(x.shape[axis], size, how)
    return x @ matrix.T if axis == -1 else matrix @ x


def _by_pieces(x: np.ndarray, axis: int, start: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Each new line from the few old ones that it depends on: of a long axis most weights are 0."""
    lines = np.moveaxis(x, axis, 0)
    out = np.empty((len(start), *lines.shape[1:]), SINGLE)
    for index, (first, weight) in enumerate(zip(start, weights, strict=True)):
        piece = lines[first : first + len(weight)]
        out[index] = np.tensordot(weight[: len(piece)], piece, axes=(0, 0))
    return np.moveaxis(out, 0, axis)


@lru_cache(maxsize=32)
def _matrix(size_in: int, size: int, how: str) -> np.ndarray:
    """(size, size_in): what each old pixel counts in every new one."""
    start, weights = _taps(size_in, size, how)
    matrix = np.zeros((size, size_in), SINGLE)
    for row, (first, weight) in enumerate(zip(start, weights, strict=True)):
        piece = matrix[row, first : first + len(weight)]
        piece += weight[: len(piece)]
    return matrix


@lru_cache(maxsize=32)
def _taps(size_in: int, size: int, how: str) -> tuple[np.ndarray, np.ndarray]:
    """The first old pixel of each new one, (size,), and the weights from there, (size, taps)."""
    scale = SINGLE(size_in) / SINGLE(size)
    if how == PLAIN:
        place = np.maximum(scale * (np.arange(size, dtype=SINGLE) + SINGLE(0.5)) - SINGLE(0.5), SINGLE(0))
        start = np.minimum(place.astype(np.int64), size_in - 1)
        beyond = np.where(start < size_in - 1, place - start.astype(SINGLE), SINGLE(0))
        return start, np.stack([1 - beyond, beyond], axis=1).astype(SINGLE)
    kernel, reach = _KERNELS[how]
    wide = max(scale, SINGLE(1))
    centre = scale * (np.arange(size, dtype=SINGLE) + SINGLE(0.5))
    start = np.maximum((centre - reach * wide + SINGLE(0.5)).astype(np.int64), 0)
    stop = np.minimum((centre + reach * wide + SINGLE(0.5)).astype(np.int64), size_in)
    taps = np.arange(int((stop - start).max()))
    distance = ((taps + start[:, None]).astype(SINGLE) - centre[:, None] + SINGLE(0.5)) / wide
    weights = np.where(taps < (stop - start)[:, None], kernel(distance), SINGLE(0))
    return start, (weights / weights.sum(1, keepdims=True)).astype(SINGLE)


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(distance), 0)


def _cubic(distance: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5, as PyTorch and Pillow use it with antialias."""
    d = np.abs(distance)
    near, far = (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0))


_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], SINGLE]] = {
    "bilinear": (_triangle, SINGLE(1)),
    "bicubic": (_cubic, SINGLE(2)),
}
