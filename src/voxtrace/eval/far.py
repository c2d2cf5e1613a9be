"""The nearest targets of queries that are far from all of them: boxes of queries, ever smaller, drop what cannot win.

For no point of a box is a target p the nearest
- if, on an axis on which p lies beyond the box, the place next to p towards the box is a target too; or
- if the target n that is nearest to the box's centre c is nearer to all of the box. The difference of the squared
  distances from a point to p and n is linear in the point, so that is the case if

      |c - p|² - |c - n|²  >  sum over the axes of the box's width times |p - n|.

What is left is about as wide as the box, however far away it is; what is within a ball around the box would be much
more. Boxes and pairs are compared in single precision with a margin for its rounding; of the pairs that it cannot tell
apart, the distance is computed exactly.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BOX_PAIRS = 1 << 17  # of queries and targets, at which a box is not divided any more
PAIRS = 1 << 16  # that are compared at once: they stay in the processor's cache
FEW = 8  # queries of which a box is not divided either, however many targets are left
ROUNDING = np.float32(32 * np.finfo(np.float32).eps)  # of squared lengths: above that of a product of four numbers

Pairs = tuple[np.ndarray, np.ndarray]  # (m,) indices of queries, (m,) indices of targets


def squared_from_afar(queries: np.ndarray, targets: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """(n,) mm² from each query to the nearest target; both (3, n) int, not empty; spacing (3,) mm."""
    own, near = (np.concatenate(indices) for indices in zip(*_nearest(queries, targets, spacing), strict=True))
    z, y, x = np.square((queries.take(own, axis=1) - targets.take(near, axis=1)) * spacing[:, None])
    first = np.flatnonzero(np.diff(own, prepend=-1))
    mm2 = np.empty(queries.shape[1])
    mm2[own[first]] = np.minimum.reduceat(z + y + x, first)
    return mm2


def _nearest(queries: np.ndarray, targets: np.ndarray, spacing: np.ndarray) -> Iterator[Pairs]:
    """The queries with the targets that may be nearest to them, all of a query in a row."""
    middle = (targets.min(axis=1) + targets.max(axis=1))[:, None] // 2
    q, t = (((corners - middle) * spacing[:, None]).astype(np.float32) for corners in (queries, targets))
    squares = np.square(t).sum(axis=0)
    margin = ROUNDING * (np.square(q).sum(axis=0).max() + squares.max())
    # |q - t|² - |q|² is the product of (-2 q, 1) and (t, |t|²)
    q, t = np.vstack([-2 * q, np.ones_like(q[:1])]), np.vstack([t, squares])
    boxes = [(np.arange(q.shape[1]), q, np.arange(t.shape[1]), t, *_neighbours(targets))]
    while boxes:
        own, q, near, t, before, behind = boxes.pop()
        low, high = np.minimum.reduce(q, axis=1), np.maximum.reduce(q, axis=1)
        kept = _kept(low, high, t, before, behind, margin)
        near, t = near.take(kept), t.take(kept, axis=1)
        if len(own) * len(near) <= BOX_PAIRS or len(own) <= FEW:
            for pairs_own, pairs_near in _compared(q, t, margin):
                yield own.take(pairs_own), near.take(pairs_near)
            continue
        before, behind = before.take(kept, axis=1), behind.take(kept, axis=1)
        axis = (high - low).argmax()
        first = q[axis] <= (low + high)[axis] / 2
        for half in (first.nonzero()[0], (~first).nonzero()[0]):
            boxes.append((own.take(half), q.take(half, axis=1), near, t, before, behind))


def _kept(
    low: np.ndarray, high: np.ndarray, t: np.ndarray, before: np.ndarray, behind: np.ndarray, margin: np.float32
) -> np.ndarray:
    """Indices of the targets t that may be nearest to a point of the box from low to high; as the queries, -2 times."""
    mm2 = (low + high) / 2 @ t
    n = mm2.argmin()
    away = t - t[:, n : n + 1]
    np.abs(away, out=away)
    bound = (high - low) / 2 @ away
    bound += mm2[n] + margin
    hidden = t[:3] > low[:3, None] / -2
    hidden &= before
    below = t[:3] < high[:3, None] / -2
    below &= behind
    hidden |= below
    kept: np.ndarray = ((mm2 <= bound) & ~np.logical_or.reduce(hidden, axis=0)).nonzero()[0]
    return kept


def _compared(q: np.ndarray, t: np.ndarray, margin: np.float32) -> Iterator[Pairs]:
    """All queries of a box with the targets that are nearest to them but for the margin."""
    step = max(1, PAIRS // t.shape[1])
    for start in range(0, q.shape[1], step):
        mm2 = q[:, start : start + step].T @ t
        pairs = np.flatnonzero(mm2 <= np.minimum.reduce(mm2, axis=1, keepdims=True) + margin)
        yield pairs // t.shape[1] + start, pairs % t.shape[1]


def _neighbours(targets: np.ndarray) -> Pairs:
    """Whether the places before and behind each target on each axis are targets: two of (3, n) bool."""
    low, high = targets.min(axis=1), targets.max(axis=1)
    taken = np.zeros(high - low + 3, bool)
    keys = np.ravel_multi_index(tuple(targets - low[:, None] + 1), taken.shape)
    taken.ravel()[keys] = True
    before, behind = (np.stack([taken.take(keys + way * step) for step in taken.strides]) for way in (-1, 1))
    return before, behind
