"""The distance from every element of one surface to the nearest of another, exactly, and only there.

A distance transform answers for every voxel of the box around both surfaces, of which elements are a few per cent. Here
only its first axis is done for a whole box, at one byte a voxel (columns.py). From an element, columns are then looked
up in the order of their distance in the plane, until the next is farther than the best found: a few columns where two
masks nearly agree. Elements for which that would take many columns are left to far.py. Squares are summed in the order
z, y, x, as scipy does: distances equal those of a distance transform to the last bit, but where two are equally near.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

from voxtrace.eval.columns import Columns, columns_of
from voxtrace.eval.far import squared_from_afar
from voxtrace.eval.surface import Surface

COLUMNS_UNSIFTED = 20  # if most elements are left after so many, those with no target within reach are taken out;
COLUMNS = 60  # so many are looked up for an element before it is left to the search from afar,
COLUMNS_OF_TARGET = 10  # and so many more for each target: that search goes through all, however few the elements


def distances_mm(own: Surface, other: Surface, spacing_mm: Sequence[float]) -> np.ndarray:
    """(n,) mm from each element of `own` to the nearest of `other`; inf if `other` has none. Spacing in array order."""
    if not len(own) or not len(other):
        return np.full(len(own), np.inf)
    spacing = np.asarray(spacing_mm, np.float64)
    queries, targets = own.corners, other.corners
    if len(spacing) == 2:  # (y, x) as (y, 1, x), with so large a step between rows that none is within reach
        spacing = np.insert(spacing, 1, 1000 * spacing[1])
        queries, targets = (np.insert(corners, 1, 0, axis=0) for corners in (queries, targets))
    columns = columns_of(targets, queries, spacing)
    mm2 = _near(columns, queries - columns.origin[:, None], targets - columns.origin[:, None])
    far = np.flatnonzero(np.isinf(mm2))
    if len(far):
        mm2[far] = squared_from_afar(queries[:, far], targets, spacing)
    return np.sqrt(mm2)


def _near(columns: Columns, queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) mm²; inf where nothing is within reach or looking for it takes long. Both (3, n) int in the columns' box."""
    mm2 = np.full(queries.shape[1], np.inf)
    edge, shape = columns.around[:, None], np.array(columns.steps.shape[1:])[:, None]
    active = np.flatnonzero(((queries[1:] >= edge) & (queries[1:] < shape - edge)).all(axis=0))
    keys = np.ravel_multi_index(tuple(queries.take(active, axis=1)), columns.steps.shape)
    best, steps, done, sifted = mm2[active], columns.steps.ravel(), 0.0, False
    for looked_up, (in_plane, dy, dx) in enumerate(_spiral(*columns.spacing[1:].tolist(), columns.reach)):
        if in_plane > done:  # go on with the elements that a farther column could still bring nearer
            mm2[active] = best
            still, done = np.flatnonzero(best > in_plane), in_plane
            if looked_up >= COLUMNS_UNSIFTED and not sifted and 2 * len(still) > len(mm2):
                mm2[active[still]] = np.inf
                still = still[_within_reach(columns, queries.take(active[still], axis=1), targets)]
                sifted = True
            active, keys, best = active[still], keys[still], best[still]
            if (looked_up - COLUMNS) * len(active) >= COLUMNS_OF_TARGET * targets.shape[1] or not len(active):
                mm2[active] = np.inf
                return mm2
        mm2_of_steps = columns.mm2 + (dy * columns.spacing[1]) ** 2 + (dx * columns.spacing[2]) ** 2
        found = mm2_of_steps.take(steps.take(keys + (dy * columns.steps.shape[2] + dx)))
        np.minimum(best, found, out=best)
    mm2[active] = np.where(best > columns.reach**2, np.inf, best)
    return mm2


def _within_reach(columns: Columns, queries: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) bool: true of all queries that have a target within reach, and of some that have not."""
    cell = np.ceil(columns.reach / columns.spacing / 2).astype(int)[:, None]
    near = np.zeros(np.array(columns.steps.shape) // cell[:, 0] + 1, np.uint8)
    near[tuple(targets // cell)] = 1
    near = ndimage.maximum_filter(near, 5, mode="constant")
    return near[tuple(queries // cell)] > 0


@lru_cache
def _spiral(spacing_y: float, spacing_x: float, reach: float) -> tuple[tuple[float, int, int], ...]:
    """(mm² in the plane, steps in y, steps in x) of all columns within reach, nearest first."""
    y, x = (np.arange(-int(reach / s), int(reach / s) + 1) for s in (spacing_y, spacing_x))
    in_plane = ((y * spacing_y) ** 2)[:, None] + (x * spacing_x) ** 2
    within = np.argwhere(in_plane < reach**2)
    return tuple(sorted((float(in_plane[i, j]), int(y[i]), int(x[j])) for i, j in within))
