"""The first axis of a distance transform: steps along z from every voxel of a box to a surface's nearest element."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

REACH = 12  # voxels of the smaller spacing in the plane that the margin lets a search go


@dataclass(frozen=True, slots=True)
class Columns:
    """steps: (Z, Y, X) unsigned, to the nearest element of the same column; mm2: (Z + 1,) mm² of that many steps.

    origin: (3,) the corner of steps[0, 0, 0]; spacing: (3,) mm; reach: mm; around: (2,) the reach in voxels of y and x.
    """

    steps: np.ndarray
    mm2: np.ndarray
    origin: np.ndarray
    spacing: np.ndarray
    reach: float
    around: np.ndarray


def columns_of(targets: np.ndarray, queries: np.ndarray, spacing: np.ndarray) -> Columns:
    """The columns of a surface's corners `targets`, in all planes of both; both (3, n) int.

    In y and x the box has a margin, so that a search from a query within reach of the targets' box does not leave it.
    """
    reach = REACH * spacing[1:].min()
    around = np.floor(reach / spacing[1:]).astype(int)
    own, other = (np.array([c.min(axis=1), c.max(axis=1)]) for c in (queries, targets))
    low, high = np.minimum(own[0], other[0]), np.maximum(own[1], other[1])
    low[1:] = np.maximum(low[1:], other[0, 1:] - around) - around
    high[1:] = np.minimum(high[1:], other[1, 1:] + around) + around
    none = int(high[0] - low[0] + 1)  # more steps than there can be: no element in the column
    steps = np.full(high - low + 1, none, np.min_scalar_type(none))
    steps[tuple(targets - low[:, None])] = 0
    for order in (range(none), range(none - 1, -1, -1)):
        for before, z in pairwise(order):
            np.minimum(steps[z], steps[before] + (steps[before] < none), out=steps[z])
    mm2 = np.append((np.arange(none) * spacing[0]) ** 2, np.inf)
    return Columns(steps, mm2, low, spacing, float(reach), around)
