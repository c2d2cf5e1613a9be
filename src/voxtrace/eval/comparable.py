"""What two masks must share before figures mean anything, and what a spacing and a tolerance must be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtrace.errors import GeometryError, InputError

AXES = {2: "(y, x)", 3: "(z, y, x)"}


def comparable(mask: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays; InputError unless they have one shape, 2 or 3 axes and truth values or labels of at least 0."""
    mask, truth = np.asarray(mask), np.asarray(truth)
    if mask.shape != truth.shape:
        raise InputError(
            f"a mask of shape {mask.shape} cannot be compared with a reference of shape {truth.shape}: "
            "both must be on one grid, in one axis order"
        )
    if mask.ndim not in AXES:
        raise InputError(f"masks of shape {mask.shape} have {mask.ndim} axes; give (y, x) or (z, y, x)")
    for array, name in ((mask, "mask"), (truth, "reference")):
        if array.dtype.kind not in "biu":
            raise InputError(f"the {name} holds {array.dtype} values; give labels or a threshold, as in array > 0.5")
        if array.dtype.kind == "i" and array.min(initial=0) < 0:
            raise InputError(f"the {name} holds the label {array.min()}; labels start at 1, and 0 is background")
    return mask, truth


def check_scale(dimensions: int, spacing_mm: Sequence[float], tolerance_mm: float = 0.0) -> None:
    """GeometryError unless there is a positive spacing for each axis; InputError if the tolerance is below 0 or nan."""
    given = tuple(float(s) for s in np.ravel(spacing_mm))
    if len(given) != dimensions:
        raise GeometryError(
            f"spacing {given} has {len(given)} numbers and the masks have {dimensions} axes: "
            f"give {AXES[dimensions]} in mm"
        )
    if not all(np.isfinite(s) and s > 0 for s in given):
        raise GeometryError(f"spacing {given} must be above 0 on every axis; give {AXES[dimensions]} in mm")
    if not tolerance_mm >= 0:
        raise InputError(f"a tolerance of {tolerance_mm} mm is not a distance; give 0 or more")
