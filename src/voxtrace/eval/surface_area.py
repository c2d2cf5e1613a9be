"""How much surface lies around one corner of the voxel grid, for each of the ways its 2^d voxels can be filled.

The surface is the one that marching cubes (Lorensen and Cline 1987) draws halfway between voxel centres, and marching
squares in 2D. It is derived here, not tabled: of the voxels around a corner those in the minority (filled or not) form
groups that hang together by faces; each group is cut off by one polygon through the midpoints of the edges that leave
it. A polygon that is not flat can be split into triangles in several ways, which differ in area; the way with the
largest area in a cubic grid is taken. The Python package surface-distance gives every one of the 256 cases
the same area, for every spacing; tests/test_surface_area.py asks it.

A neighbour code has the bits 4 dz + 2 dy + dx of its filled voxels (2 dy + dx in 2D), dz, dy, dx in {0, 1}.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product

import numpy as np

Corner = tuple[int, ...]
Loop = list[np.ndarray]


def surface_areas(spacing_mm: Sequence[float]) -> np.ndarray:
    """(256,) mm² of surface for each neighbour code if spacing is (z, y, x); (16,) mm of contour if it is (y, x)."""
    spacing = np.asarray(spacing_mm, np.float64)
    # An area's component along an axis grows with the other two spacings, a length's with its own.
    scale = spacing if len(spacing) == 2 else spacing.prod() / spacing
    return np.linalg.norm(_unit_elements(len(spacing)) * scale, axis=-1).sum(axis=-1)


@lru_cache
def _unit_elements(dimensions: int) -> np.ndarray:
    """(2^2^d, 4, d): each code's segments, or its triangles' area vectors, in voxels; zeros where it has fewer."""
    elements = np.zeros((2**2**dimensions, 4, dimensions))
    for code in range(1, len(elements) // 2):
        groups = _minority_groups(code, dimensions)
        found = [element for group in groups for element in _elements(_cut(group))]
        elements[code, : len(found)] = elements[~code, : len(found)] = found  # filled and empty swapped
    elements.flags.writeable = False
    return elements


def _minority_groups(code: int, dimensions: int) -> Iterator[set[Corner]]:
    """The voxels around the corner that are fewer, filled or not, in groups that hang together by faces."""
    corners = list(product((0, 1), repeat=dimensions))
    filled = {c for bit, c in enumerate(corners) if code >> bit & 1}
    left = filled if len(filled) <= len(corners) // 2 else set(corners) - filled
    while left:
        group, reached = set[Corner](), {min(left)}
        while reached:
            group |= reached
            reached = {n for c in reached for n in _neighbours(c)} & left - group
        left = left - group
        yield group


def _neighbours(corner: Corner) -> Iterator[Corner]:
    return ((*corner[:i], 1 - c, *corner[i + 1 :]) for i, c in enumerate(corner))


def _cut(group: set[Corner]) -> Loop:
    """Midpoints of the edges that leave the group, in order around its polygon: a side lies in a face of the cube.

    Each midpoint shares a face with two others: only the sense of the walk is open. In 2D there are just two midpoints.
    """
    left = [np.add(c, n) / 2 for c in sorted(group) for n in _neighbours(c) if n not in group]
    loop = [left.pop()]
    while left:
        after = next((i for i, point in enumerate(left) if _on_one_face(point, loop[-1])), 0)
        loop.append(left.pop(after))
    return loop


def _on_one_face(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(((a == b) & (a != 0.5)).any())


def _elements(loop: Loop) -> list[np.ndarray]:
    if len(loop[0]) == 2:
        return [loop[1] - loop[0]]
    return max(_triangulations(loop), key=lambda triangles: sum(np.linalg.norm(t) for t in triangles))


def _triangulations(loop: Loop) -> Iterator[list[np.ndarray]]:
    """Every way to split the polygon into triangles, each as its area vector (half the cross product)."""
    if len(loop) < 3:
        yield []
        return
    first, last = loop[0], loop[-1]
    for i in range(1, len(loop) - 1):
        triangle = np.cross(loop[i] - first, last - first) / 2
        for before, behind in product(_triangulations(loop[: i + 1]), _triangulations(loop[i:])):
            yield [*before, triangle, *behind]
