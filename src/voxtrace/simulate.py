"""What a person would mark, made from a reference mask: training and benchmarks prompt with the same ones.

Masks are (H, W), non-zero inside; coordinates are pixels (y, x) counted from 0, a whole number being a pixel's centre;
boxes are half-open. The same generator state gives the same marks. PromptError where the mask is empty.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from voxtrace.errors import PromptError

Pixel = tuple[int, int]
Line = tuple[tuple[float, float], tuple[float, float]]


def box(mask: np.ndarray, jitter: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """(y0, x0, y1, x1) around the mask, each side moved by up to `jitter` of the box's size, inside the frame."""
    mask = _solid(mask)
    (y0, y1), (x0, x1) = _span(np.any(mask, axis=1)), _span(np.any(mask, axis=0))
    height, width = y1 - y0, x1 - x0
    dy0, dx0, dy1, dx1 = rng.uniform(-jitter, jitter, 4) * (height, width, height, width)
    low_y, high_y = _side(y0 + dy0, y1 + dy1, mask.shape[0])
    low_x, high_x = _side(x0 + dx0, x1 + dx1, mask.shape[1])
    return low_y, low_x, high_y, high_x


def clicks(mask: np.ndarray, count: int, rng: np.random.Generator, how: str = "centre") -> np.ndarray:
    """(count, 2) int64 (y, x) inside the mask. "centre": the first is the pixel farthest from the edge, each next the
    farthest from the edge and from those before; "random": uniform, a pixel twice only where there are too few."""
    mask = _solid(mask)
    if how == "random":
        places = np.argwhere(mask)
        return places[rng.choice(len(places), count, replace=len(places) < count)]
    if how != "centre":
        raise PromptError(f"clicks are placed by 'centre' or 'random', not by {how!r}")
    free = mask.copy()
    found: list[Pixel] = []
    for _ in range(count):
        found.append(_centre(free if free.any() else mask, rng))
        free[found[-1]] = False
    return np.array(found, np.int64).reshape(-1, 2)


def correction_click(
    truth: np.ndarray, prediction: np.ndarray, rng: np.random.Generator, how: str = "centre"
) -> tuple[Pixel, bool]:
    """Where a person would click next: the middle of the largest connected error, positive where the object is missed.
    "random" is any wrong pixel, as in SAM 2's training.

    Where nothing is wrong, a positive click in the object's middle; PromptError if there is no object either.
    """
    wanted = np.asarray(truth) != 0
    wrong = wanted != (np.asarray(prediction) != 0)
    if not wrong.any():
        return _centre(_solid(truth), rng), True
    if how == "random":
        places = np.argwhere(wrong)
        y, x = places[rng.integers(len(places))].tolist()
        return (y, x), bool(wanted[y, x])
    if how != "centre":
        raise PromptError(f"correcting clicks are placed by 'centre' or 'random', not by {how!r}")
    # Missed and added pixels that touch are two errors: one click cannot mend both.
    spot = max((_largest(wrong & wanted), _largest(wrong & ~wanted)), key=lambda part: part.sum())
    place = _centre(spot, rng)
    return place, bool(wanted[place])


def scribble(mask: np.ndarray, rng: np.random.Generator, width: int = 1) -> np.ndarray:
    """(H, W) bool: a curve drawn along the inside of the mask's largest piece, `width` pixels thick.

    It runs between two far ends through deep pixels, bent at random, and never leaves the mask.
    """
    mask = _largest(_solid(mask))
    depth = _depth(mask)
    ends = _ends(mask, depth, rng)
    way = _deep_way(ends, depth, rng)
    line = np.zeros(mask.shape, bool)
    for (y0, x0), (y1, x1) in pairwise(way):
        steps = int(max(abs(y1 - y0), abs(x1 - x0), 1)) + 1
        rows = np.linspace(y0, y1, steps).round().astype(int)
        columns = np.linspace(x0, x1, steps).round().astype(int)
        line[rows, columns] = True
    if width > 1:
        line = ndimage.binary_dilation(line, iterations=width // 2)
    return line & mask


def recist(mask: np.ndarray) -> tuple[Line, Line]:
    """The longest diameter and the longest one across it, each ((y, x), (y, x)), of a mask taken as one object.

    The diameter is the exact largest distance between pixel centres (convex hull); the one across is the longest chord
    of the hull at a right angle to it.
    """
    places = np.argwhere(_solid(mask)).astype(float)
    hull = _hull(places)
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=-1)
    first, last = np.unravel_index(int(apart.argmax()), apart.shape)
    start, stop = hull[min(first, last)], hull[max(first, last)]
    return _line(start, stop), _across(hull, start, stop)


def _solid(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask) != 0
    if mask.ndim != 2 or not mask.any():
        raise PromptError(f"no prompt can be made from a mask of shape {mask.shape} with {int(mask.sum())} pixels set")
    return mask


def _span(line: np.ndarray) -> tuple[int, int]:
    found = np.flatnonzero(line)
    return int(found[0]), int(found[-1]) + 1


def _side(low: float, high: float, size: int) -> tuple[int, int]:
    start = min(max(round(low), 0), size - 1)
    return start, max(min(round(high), size), start + 1)


def _largest(mask: np.ndarray) -> np.ndarray:
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    return pieces == int(np.bincount(pieces.ravel())[1:].argmax()) + 1


def _depth(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest one outside; beyond the frame counts as outside. Only the mask's box is
    worked on: the transform of a whole frame would cost most of a training step's prompts."""
    (y0, y1), (x0, x1) = _span(np.any(mask, axis=1)), _span(np.any(mask, axis=0))
    depth = np.zeros(mask.shape)
    depth[y0:y1, x0:x1] = ndimage.distance_transform_edt(np.pad(mask[y0:y1, x0:x1], 1))[1:-1, 1:-1]
    return depth


def _centre(mask: np.ndarray, rng: np.random.Generator) -> Pixel:
    """The deepest pixel; of several equally deep ones, any."""
    depth = _depth(mask)
    deepest = np.argwhere(depth == depth.max())
    y, x = deepest[rng.integers(len(deepest))]
    return int(y), int(x)


def _ends(mask: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two pixels far from each other, not on the very edge where the mask is thick enough."""
    places = np.argwhere(depth > min(2.0, 0.5 * float(depth.max())))
    one = places[rng.integers(len(places))]
    far = places[int(((places - one) ** 2).sum(1).argmax())]
    return places[int(((places - far) ** 2).sum(1).argmax())], far


def _deep_way(ends: tuple[np.ndarray, np.ndarray], depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points from end to end; between them, for a few cuts across, a pixel that is deep, with some randomness."""
    places = np.argwhere(depth > 0)
    start, along = ends[0].astype(float), (ends[1] - ends[0]).astype(float)
    length = float(np.hypot(*along))
    if length < 4:
        return np.array([ends[0], ends[1]])
    where = (places - start) @ along / length**2
    taste = depth[places[:, 0], places[:, 1]] * rng.uniform(0.6, 1.0, len(places))
    cuts = np.linspace(0, 1, int(np.clip(length / 4, 2, 12)) + 1)
    way = [ends[0]]
    for low, high in pairwise(cuts):
        inside = np.flatnonzero((where >= low) & (where < high))
        if len(inside):
            way.append(places[inside[int(taste[inside].argmax())]])
    return np.array([*way, ends[1]])


def _hull(places: np.ndarray) -> np.ndarray:
    """Corners of the convex hull in order; a line or a point is its own hull."""
    try:
        return places[ConvexHull(places).vertices]
    except QhullError:
        order = np.lexsort(places.T)
        return places[order[[0, -1]]]


def _line(start: np.ndarray, stop: np.ndarray) -> Line:
    return (float(start[0]), float(start[1])), (float(stop[0]), float(stop[1]))


def _across(hull: np.ndarray, start: np.ndarray, stop: np.ndarray) -> Line:
    """The longest chord of a convex polygon at a right angle to start-stop. Chord length is concave along the
    diameter, with its largest value where a corner of the polygon lies, so only the corners are tried."""
    length = float(np.linalg.norm(stop - start))
    if length == 0 or len(hull) < 3:
        middle = (start + stop) / 2
        return _line(middle, middle)
    along = (stop - start) / length
    normal = np.array([-along[1], along[0]])
    u, v = (hull - start) @ along, (hull - start) @ normal
    best: tuple[float, float, float, float] = (-1.0, 0.0, 0.0, 0.0)
    for at in u:
        low, high = _chord(u, v, float(at))
        best = max(best, (high - low, float(at), low, high))
    _, at, low, high = best
    return _line(start + at * along + low * normal, start + at * along + high * normal)


def _chord(u: np.ndarray, v: np.ndarray, at: float) -> tuple[float, float]:
    """Where the polygon with corners (u, v) is cut by the line u = at: the lowest and highest v."""
    ends = []
    for u0, v0, u1, v1 in zip(u, v, np.roll(u, -1), np.roll(v, -1), strict=True):
        if u0 == u1:
            ends += [v0, v1] if u0 == at else []
        elif min(u0, u1) <= at <= max(u0, u1):
            ends.append(v0 + (v1 - v0) * (at - u0) / (u1 - u0))
    return float(min(ends)), float(max(ends))


__all__ = ["Line", "Pixel", "box", "clicks", "correction_click", "recist", "scribble"]
