"""The distance from every element of one surface to the nearest of another, exactly, and only there.

A distance transform answers for every voxel of the box around both surfaces, of which elements are a few per cent. Here
only its first axis is done for a whole box, at one byte a voxel (columns.py). From an element, columns are then looked
up in the order of their distance in the plane, until the next is farther than the best found: a few columns where two
masks nearly agree. Elements out of that reach are finished by far.py. Squares are summed in the order z, y, x, as scipy
does: distances equal those of a distance transform to the last bit, but where two elements are equally near.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from voxtrace.eval.columns import Columns, columns_of
from voxtrace.eval.far import squared_from_afar
from voxtrace.eval.surface import Surface


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
    queries = queries - columns.origin[:, None]
    mm2 = _near(columns, queries)
    far = np.flatnonzero(mm2 > columns.reach**2)
    if len(far):
        mm2[far] = squared_from_afar(columns, queries[:, far], mm2[far], targets - columns.origin[:, None])
    return np.sqrt(mm2)


def _near(columns: Columns, queries: np.ndarray) -> np.ndarray:
    """(n,) mm²: the true squared distance where that is within reach, elsewhere one that is not below it."""
    mm2 = np.full(queries.shape[1], np.inf)
    edge, shape = columns.around[:, None], np.array(columns.steps.shape[1:])[:, None]
    inside = (queries[1:] >= edge) & (queries[1:] < shape - edge)
    active = np.flatnonzero(inside.all(axis=0))
    keys = np.ravel_multi_index(tuple(queries[:, active]), columns.steps.shape)
    best, steps, done = mm2[active], columns.steps.ravel(), 0.0
    for in_plane, dy, dx in _spiral(*columns.spacing[1:].tolist(), columns.reach):
        if in_plane > done:  # go on with the elements that a farther column could still bring nearer
            mm2[active] = best
            still = np.flatnonzero(best > in_plane)
            active, keys, best, done = active[still], keys[still], best[still], in_plane
            if not len(active):
                break
        mm2_of_steps = columns.mm2 + (dy * columns.spacing[1]) ** 2 + (dx * columns.spacing[2]) ** 2
        found = mm2_of_steps.take(steps.take(keys + (dy * columns.steps.shape[2] + dx)))
        np.minimum(best, found, out=best)
    mm2[active] = best
    return mm2


@lru_cache
def _spiral(spacing_y: float, spacing_x: float, reach: float) -> tuple[tuple[float, int, int], ...]:
    """(mm² in the plane, steps in y, steps in x) of all columns within reach, nearest first."""
    y, x = (np.arange(-int(reach / s), int(reach / s) + 1) for s in (spacing_y, spacing_x))
    in_plane = ((y * spacing_y) ** 2)[:, None] + (x * spacing_x) ** 2
    within = np.argwhere(in_plane < reach**2)
    return tuple(sorted((float(in_plane[i, j]), int(y[i]), int(x[j])) for i, j in within))
