"""The surface of a mask as elements that know where they are and how much surface they stand for.

An element lies at every corner of the voxel grid whose 2^d voxels are not all alike; voxels outside the array count as
empty, so an object that touches the array's border has a surface there. Its area is that of the surface around the
corner (surface_area.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.eval.surface_area import surface_areas


@dataclass(frozen=True, slots=True)
class Surface:
    """corners: (d, n) int in array order, sorted; corner i is between voxels i - 1 and i. areas: (n,) mm², in 2D mm."""

    corners: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        return len(self.areas)


def surface(mask: np.ndarray, spacing_mm: Sequence[float]) -> Surface:
    """The elements of a (z, y, x) or (y, x) mask of any dtype, where not 0 is inside; spacing in the same order."""
    box = bounding_box(mask)
    if box is None:
        return Surface(np.zeros((mask.ndim, 0), np.int64), np.zeros(0))
    codes = _neighbour_codes(mask[box] != 0)
    full = codes.dtype.type(2**2**mask.ndim - 1)
    mixed = np.flatnonzero((codes != 0) & (codes != full))
    corners = np.stack(np.unravel_index(mixed, codes.shape))
    corners += np.array([[side.start] for side in box])
    return Surface(corners, surface_areas(spacing_mm)[codes.ravel()[mixed]])


def bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box that holds all that is not 0; None if nothing is. It makes no copy of the mask."""
    box: tuple[slice, ...] = ()
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        filled = np.flatnonzero(mask[box].any(axis=others))
        if not len(filled):
            return None
        box = (*box, slice(int(filled[0]), int(filled[-1]) + 1))
    return box


def _neighbour_codes(mask: np.ndarray) -> np.ndarray:
    """(d, h, w) bool -> (d + 1, h + 1, w + 1) uint8: which of the voxels around each corner are filled."""
    codes = np.pad(mask.view(np.uint8), 1)
    for axis in range(mask.ndim):
        along = np.moveaxis(codes, axis, 0)
        joined = along[1:] << 2 ** (mask.ndim - 1 - axis)
        joined |= along[:-1]
        codes = np.moveaxis(joined, 0, axis)
    return codes
