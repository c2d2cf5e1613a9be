"""What is done to masks after the net: pieces, holes, and voxels that two objects claim.

Masks are bool arrays of 2 or 3 axes. Pieces hang together by faces (4 neighbours in 2D, 6 in 3D); a hole is background
that does not reach the array's border by faces either. Sizes count voxels, not mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.lazily import Lazily

if TYPE_CHECKING:
    from scipy import ndimage
else:
    ndimage = Lazily("scipy.ndimage")


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Only the piece with the most voxels; of equal ones the first in array order. Empty stays empty."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask.astype(bool)
    return pieces == np.bincount(pieces.ravel())[1:].argmax() + 1


def remove_small(mask: np.ndarray, min_voxels: int) -> np.ndarray:
    """Without the pieces of fewer than `min_voxels` voxels."""
    pieces, _ = ndimage.label(mask)
    keep = np.bincount(pieces.ravel()) >= min_voxels
    keep[0] = False
    return keep[pieces]


def fill_holes(mask: np.ndarray, max_voxels: int | None = None) -> np.ndarray:
    """Fill the holes of at most `max_voxels` voxels; None fills all. In 3D a tunnel is no hole."""
    filled = ndimage.binary_fill_holes(mask)
    if max_voxels is None:
        return filled
    holes = filled & ~mask
    return mask | (holes & ~remove_small(holes, max_voxels + 1))


def settle_overlaps(logits: Mapping[int, np.ndarray], locked: Mapping[int, np.ndarray] | None = None) -> np.ndarray:
    """One label map of many objects.

    logits: {label: array}; a voxel goes to the largest logit above 0, of equal ones to the first. locked: {label: bool
    array}; its voxels are taken whatever the logits say. Returns the labels, uint8 or uint16, 0 where nothing is.
    """
    locked = locked or {}
    arrays = [*logits.values(), *locked.values()]
    labels = np.zeros(arrays[0].shape, label_dtype([*logits, *locked]))
    best = np.zeros(labels.shape, np.float32)
    for label, values in logits.items():
        wins = values > best
        labels[wins] = label
        best[wins] = values[wins]
    for label, mask in locked.items():
        labels[mask] = label
    return labels


def label_dtype(labels: list[int]) -> type[np.uint8] | type[np.uint16]:
    """The smaller of uint8 and uint16 that holds all labels."""
    return np.uint8 if max(labels, default=0) <= np.iinfo(np.uint8).max else np.uint16
