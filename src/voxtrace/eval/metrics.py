"""How well a mask agrees with a reference: one object, or every label of a label map.

Arrays are (z, y, x) or (y, x), spacing is in the same order and in mm; an array (1, y, x) is a slab with a top and a
bottom, not a picture. Overlaps: both empty is 1, one empty is 0. Distances and the surface's share: boundary.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np
from scipy import ndimage

from voxtrace.errors import InputError
from voxtrace.eval.boundary import boundary
from voxtrace.eval.comparable import check_scale, comparable
from voxtrace.eval.surface import bounding_box

TOLERANCE_MM = 2.0  # as in the CVPR 2024 and 2025 challenges
MOST_LABELS = 1 << 16  # scipy makes room for every number up to the largest; larger ones are numbered anew


Box = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """One object. dsc, iou, nsd: 0..1, larger is better; hd95, assd, hd: mm, inf if just one of the masks is empty."""

    dsc: float
    iou: float
    nsd: float
    hd95: float
    assd: float
    hd: float


def score(
    mask: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float], tolerance_mm: float = TOLERANCE_MM
) -> Scores:
    """All figures of one object; not 0 is inside. InputError or GeometryError if the arguments do not fit together."""
    mask, truth = comparable(mask, truth)
    check_scale(mask.ndim, spacing_mm, tolerance_mm)
    box = _union(bounding_box(mask), bounding_box(truth))
    if box is None:
        return Scores(dsc=1.0, iou=1.0, nsd=1.0, hd95=0.0, assd=0.0, hd=0.0)
    mask, truth = mask[box] != 0, truth[box] != 0
    edges = boundary(mask, truth, spacing_mm)
    return Scores(
        dsc=dice(mask, truth),
        iou=iou(mask, truth),
        nsd=edges.nsd(tolerance_mm),
        hd95=edges.hausdorff(95),
        assd=edges.assd(),
        hd=edges.hausdorff(),
    )


def score_labels(
    mask: np.ndarray,
    truth: np.ndarray,
    spacing_mm: Sequence[float],
    tolerance_mm: float = TOLERANCE_MM,
    labels: Iterable[int] | None = None,
) -> dict[int, Scores]:
    """{label: figures} of two label maps; 0 is background. Without `labels`: those that occur in either, in order.

    So a label that only the mask has counts as wrong (dsc 0). A label asked for that neither has is both empty (dsc 1).
    """
    mask, truth = comparable(mask, truth)
    check_scale(mask.ndim, spacing_mm, tolerance_mm)
    ours, theirs = _boxes(mask), _boxes(truth)
    chosen = sorted(ours.keys() | theirs.keys()) if labels is None else labels
    scores = {}
    for label in chosen:
        if label < 1:
            raise InputError(f"label {label} is no object: labels start at 1, and 0 is background")
        box = _union(ours.get(label), theirs.get(label)) or (slice(0, 1),) * mask.ndim
        scores[int(label)] = score(mask[box] == label, truth[box] == label, spacing_mm, tolerance_mm)
    return scores


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """A case's figures from its objects': plain means, infinite where one is. InputError if there is no object."""
    rows = [astuple(s) for s in scores]
    if not rows:
        raise InputError("there are no objects to average: neither mask has a label above 0")
    return Scores(*np.mean(rows, axis=0).tolist())


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient of two masks of equal shape, 0..1; not 0 is inside. Both empty is 1, one empty is 0."""
    mask, truth = comparable(mask, truth)
    total = _voxels(mask) + _voxels(truth)
    return 1.0 if total == 0 else 2 * _overlap(mask, truth) / total


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union (Jaccard) of two masks of equal shape, 0..1. Both empty is 1, one empty is 0."""
    mask, truth = comparable(mask, truth)
    overlap = _overlap(mask, truth)
    union = _voxels(mask) + _voxels(truth) - overlap
    return 1.0 if union == 0 else overlap / union


def _overlap(mask: np.ndarray, truth: np.ndarray) -> int:
    return _voxels(np.logical_and(mask, truth))


def _voxels(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))


def _union(a: Box | None, b: Box | None) -> Box | None:
    if a is None or b is None:
        return a or b
    return tuple(slice(min(i.start, j.start), max(i.stop, j.stop)) for i, j in zip(a, b, strict=True))


def _boxes(labels: np.ndarray) -> dict[int, Box]:
    """{label: the smallest box that holds it} of all labels above 0."""
    labels = labels.view(np.uint8) if labels.dtype == bool else labels
    if labels.max(initial=0) <= MOST_LABELS:
        return {label: box for label, box in enumerate(ndimage.find_objects(labels), start=1) if box}
    names, numbers = np.unique(labels, return_inverse=True)
    boxes = ndimage.find_objects(numbers.reshape(labels.shape) + 1)
    return {int(label): box for label, box in zip(names, boxes, strict=True) if label}
