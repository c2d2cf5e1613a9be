"""The distance from elements that are far from a surface: by rows, or by scipy's transform where that is less work."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxtrace.eval.columns import Columns

BATCH = 1 << 16  # numbers that one step works on: they stay in the processor's cache
ROW_NS, NUMBER_NS, VOXEL_NS = 20_000, 2, 100  # measured: a row, one of its numbers; a voxel of scipy's transform


def squared_from_afar(columns: Columns, queries: np.ndarray, bounds: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(n,) mm² from queries to the nearest of the targets; both (3, n) int in the columns' box, queries sorted.

    bounds: (n,) mm² that the result does not exceed, inf where nothing is known.
    """
    row_number = queries[0] * (np.ptp(queries[1]) + 1) + queries[1] - queries[1].min()
    _, first, row_of = np.unique(row_number, return_index=True, return_inverse=True)
    radii = np.sqrt(np.maximum.reduceat(bounds, first)) / columns.spacing[1]
    height, width = (side.stop - side.start for side in columns.inner)
    numbers = np.minimum(2 * radii + 1, height).sum() * width
    both = np.hstack([queries, targets])
    voxels = np.prod(np.ptp(both, axis=1) + 1, dtype=float)
    if len(first) * ROW_NS + numbers * NUMBER_NS > voxels * VOXEL_NS:
        return _by_transform(queries, targets, columns.spacing)
    return _by_rows(columns, queries, first, row_of, radii)


def _by_rows(
    columns: Columns, queries: np.ndarray, first: np.ndarray, row_of: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """For each row (z, y) of queries: the best over the targets' y for each of their x, then over x for each query.

    first: each row's first query; row_of: (n,) each query's row; radii: each row's farthest reach in y, voxels.
    """
    planes, y = queries[0, first], queries[1, first] - columns.inner[0].start
    x = queries[2] - columns.inner[1].start
    ends = np.append(first, len(row_of))
    most = int(np.diff(ends).max())
    mm2 = np.empty(len(row_of))
    for plane in np.unique(planes):
        in_column = columns.mm2[columns.steps[plane][columns.inner]]
        height, width = in_column.shape
        begin, end = np.searchsorted(planes, [plane, plane + 1])
        at_once = max(1, BATCH // max(in_column.size, most * width))
        for row in range(begin, end, at_once):
            rows = slice(row, min(row + at_once, end))
            low = int(np.clip((y[rows] - radii[rows]).min(), 0, height - 1))
            high = int(np.clip((y[rows] + radii[rows]).max() + 1, 1, height))
            dy = (y[rows, None] - np.arange(low, high)) * columns.spacing[1]
            best = (in_column[low:high] + np.square(dy)[:, :, None]).min(axis=1)
            members = slice(ends[rows.start], ends[rows.stop])
            dx = (x[members, None] - np.arange(width)) * columns.spacing[2]
            mm2[members] = (best[row_of[members] - row] + np.square(dx)).min(axis=1)
    return mm2


def _by_transform(queries: np.ndarray, targets: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    low = np.minimum(queries.min(axis=1), targets.min(axis=1))[:, None]
    high = np.maximum(queries.max(axis=1), targets.max(axis=1))[:, None]
    free = np.ones((high - low + 1)[:, 0], bool)
    free[tuple(targets - low)] = False
    nearest = ndimage.distance_transform_edt(free, spacing, return_distances=False, return_indices=True)
    at = queries - low
    return np.square((nearest[(slice(None), *at)] - at) * spacing[:, None]).sum(axis=0)
