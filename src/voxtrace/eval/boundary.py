"""What the distances between two surfaces say: how much of them agrees, how far they part, how far on average.

Definitions differ between packages (on the same masks HD95 is 2.0 in some and 2.2 in others); these are those of
surface-distance 0.1, in which every distance counts as much as the surface it stands for:
  nsd        of both surfaces' area together, the share that lies within the tolerance (inclusive) of the other surface
  hausdorff  the smallest distance that `percentile` % of a surface's area do not exceed, the worse of both directions;
             100 is the Hausdorff distance
  assd       the mean distance over both surfaces' area together; not the mean of the two directions' means
Two empty masks agree: nsd 1, distances 0. If one is empty, nsd is 0 and distances are infinite: an infinity ranks last
and shows in every mean, where a nan would be left out of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.eval.nearest import distances_mm
from voxtrace.eval.surface import surface

ROUNDING = 1e-9  # of the area, less than an element: a percentile that areas reach exactly must not be missed


@dataclass(frozen=True, slots=True)
class Side:
    """One mask's surface: (n,) distances in mm to the other's surface and (n,) areas, both in order of distance."""

    distances_mm: np.ndarray
    areas: np.ndarray

    def area_within(self, tolerance_mm: float) -> float:
        """mm² (mm in 2D) of this surface that are not farther than the tolerance from the other."""
        return float(self.areas[: np.searchsorted(self.distances_mm, tolerance_mm, side="right")].sum())

    def percentile(self, percentile: float) -> float:
        """The smallest distance in mm that so many per cent of the area do not exceed; 0 if there is no surface."""
        if not len(self.areas):
            return 0.0
        area = self.areas.cumsum()
        index = np.searchsorted(area, (percentile / 100 - ROUNDING) * area[-1])
        return float(self.distances_mm[index])


@dataclass(frozen=True, slots=True)
class Boundary:
    """The surfaces of two masks, each with its distances to the other."""

    sides: tuple[Side, Side]

    def nsd(self, tolerance_mm: float) -> float:
        """Normalised surface distance (surface Dice) at a tolerance, 0..1."""
        area = self._area()
        return sum(side.area_within(tolerance_mm) for side in self.sides) / area if area else 1.0

    def hausdorff(self, percentile: float = 100.0) -> float:
        """Hausdorff distance in mm, or its robust form at a percentile above 0."""
        return max(side.percentile(percentile) for side in self.sides)

    def assd(self) -> float:
        """Average symmetric surface distance in mm."""
        area = self._area()
        return sum(float(side.distances_mm @ side.areas) for side in self.sides) / area if area else 0.0

    def _area(self) -> float:
        return sum(float(side.areas.sum()) for side in self.sides)


def boundary(mask: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float]) -> Boundary:
    """Compare the surfaces of two masks of equal shape, (z, y, x) or (y, x); spacing in the same order. No checks."""
    a, b = surface(mask, spacing_mm), surface(truth, spacing_mm)
    return Boundary((_side(distances_mm(a, b, spacing_mm), a.areas), _side(distances_mm(b, a, spacing_mm), b.areas)))


def _side(distances: np.ndarray, areas: np.ndarray) -> Side:
    order = np.argsort(distances)
    return Side(distances[order], areas[order])
