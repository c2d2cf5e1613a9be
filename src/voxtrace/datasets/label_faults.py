"""What is wrong with labels: values that are none, or have no name; nothing labelled; blurred edges; specks."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxtrace.datasets.faults import Fault
from voxtrace.manifest import Case

SPECK_PIXELS, SPECK_VOXELS = 6, 4
PIECES_OF = 64  # labels whose pieces are counted; of more labels each is an object
NEARLY_ALL = 0.95
ALIKE = 0.1  # share of the greys of a blurred edge that may have only neighbours of their own value


def value_faults(case: Case, values: np.ndarray) -> list[Fault]:
    """Why values are no labels; [] where they could be."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return [Fault("labels", case.id, "they hold NaN or infinite values")]
    if values.size and values.min() < 0:
        return [Fault("negative", case.id, f"the least is {values.min():g}")]
    between = values[values != np.rint(values)] if values.dtype.kind == "f" else values[:0]
    if not between.size:
        return []
    sort = "probabilities" if values.max() <= 1 else "interpolated"
    return [Fault(sort, case.id, f"{between.size} voxels are no whole numbers, as {between.flat[0]:.4g}")]


def label_faults(case: Case, labels: np.ndarray) -> list[Fault]:
    """Faults of labels that lie on their scan and are whole numbers."""
    values, counts = _counted(labels)
    background = int(counts[values == 0].sum())
    values, counts = values[values > 0], counts[values > 0]
    if not len(values):
        return [Fault("empty", case.id, "every voxel is background")]
    if _grey_between(labels, values):
        return [Fault("interpolated", case.id, f"0 and 255 with {len(values) - 1} values between, along edges only")]
    faults = []
    named = {value for value, _ in case.labels} if case.labels else None
    if named is not None and (strange := [int(value) for value in values if value not in named]):
        known = ", ".join(f"{value} {name}" for value, name in case.labels or ())
        faults.append(Fault("unexpected", case.id, f"{_listed(strange)}; known are {known}"))
    if background < (1 - NEARLY_ALL) * labels.size:
        faults.append(Fault("full", case.id, f"{1 - background / labels.size:.1%} of all voxels"))
    if case.kind != "video" and (specks := _specks(case, labels, values, counts)):
        faults.append(Fault("specks", case.id, specks))
    return faults


def _counted(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values there are and how often, as np.unique; of small numbers slice by slice, without sorting a volume."""
    if labels.dtype.itemsize > 2:
        return np.unique(labels, return_counts=True)
    counts = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    for frame in labels:
        counts += np.bincount(frame.ravel(), minlength=len(counts))
    values = np.flatnonzero(counts)
    return values, counts[values]


def _grey_between(labels: np.ndarray, values: np.ndarray) -> bool:
    """Whether these are the greys of a black and white mask whose edge was blurred: hardly one lies among its like."""
    if len(values) <= 8 or values[-1] != 255:
        return False
    between = (labels > 0) & (labels < 255)
    lowest, highest = (rank(labels, (1, 3, 3)) for rank in (ndimage.minimum_filter, ndimage.maximum_filter))
    return bool((lowest == highest)[between].mean() < ALIKE)


def _specks(case: Case, labels: np.ndarray, values: np.ndarray, counts: np.ndarray) -> str:
    """Pieces of a class, or objects, that are too small to be anything; "" where there are none."""
    least, unit = (SPECK_PIXELS, "pixels") if len(labels) == 1 else (SPECK_VOXELS, "voxels")
    if case.label_type == "instance" or len(values) > PIECES_OF:
        small = values[counts < least]
        return f"{len(small)} objects under {least} {unit} ({_listed([int(v) for v in small])})" if len(small) else ""
    found = []
    boxes = ndimage.find_objects(labels) if values[-1] <= 255 else []
    for label, box in enumerate(boxes, 1):
        if box is not None:
            pieces, number = ndimage.label(labels[box] == label, structure=np.ones((3, 3, 3)))
            tiny = int((np.bincount(pieces.ravel())[1:] < least).sum()) if number > 1 else 0
            found += [f"{tiny} of label {label}"] if tiny else []
    return f"{', '.join(found)} under {least} {unit}" if found else ""


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values[:6])) + (f" and {len(values) - 6} more" if len(values) > 6 else "")
