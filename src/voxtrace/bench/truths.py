"""A labelled case opened: the scan, and each object in it with the frame that it is marked on.

A volume's object is marked on the slice in the middle of those that it is on; a video's on the first labelled frame
that shows it, and only the labelled frames after that are scored; a picture has one frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.datasets.opening import open_labels
from voxtrace.errors import InputError
from voxtrace.io import read
from voxtrace.io.reading import Scan
from voxtrace.manifest import Case
from voxtrace.volume import Picture, Video, Volume

OBJECTS_A_CASE = 12  # of dozens of nuclei or neurites: an even choice by size
MODALITIES = {"ct": "CT", "mri": "MR", "pet": "PT", "ultrasound": "US"}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One object to be found.

    depth: frames of the whole scan. frame: where it is marked; marked: (H, W) bool, the object there.
    frames: those that are scored; mask: (F, H, W) bool, the object on them.
    z_range: half-open slices of a volume between which it lies, else None.
    """

    label: int
    depth: int
    frame: int
    marked: np.ndarray
    frames: tuple[int, ...]
    mask: np.ndarray
    z_range: tuple[int, int] | None = None


def open_case(case: Case, objects: int = OBJECTS_A_CASE) -> tuple[Scan, list[Target]]:
    """The scan and at most `objects` of its objects. InputError for what cannot be read or is of another kind."""
    scan = read(case.image_path, modality=MODALITIES.get(case.modality))
    labels, frames = _labels(case, scan)
    return scan, [target for label in chosen(labels, objects) if (target := _target(labels, frames, label, scan))]


def chosen(labels: np.ndarray, objects: int) -> list[int]:
    """The labels of at most `objects` objects: of more, an even choice from the smallest to the largest."""
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    ordered = values[np.argsort(counts, kind="stable")]
    if len(ordered) > objects:
        ordered = ordered[np.linspace(0, len(ordered) - 1, objects).round().astype(int)]
    return sorted(int(value) for value in ordered)


def _labels(case: Case, scan: Scan) -> tuple[np.ndarray, tuple[int, ...]]:
    """(F, H, W) labels, and which of the scan's frames those are."""
    expected = {"image": Picture, "volume": Volume, "video": Video}[case.kind]
    if not isinstance(scan, expected):
        raise InputError(f"{case.image_path} is a {type(scan).__name__.lower()}; the case {case.id} is a {case.kind}")
    labels = open_labels(case, scan)
    if len(labels.known) == len(labels.array):
        return labels.array, labels.known
    return labels.array[list(labels.known)], labels.known


def _target(labels: np.ndarray, frames: tuple[int, ...], label: int, scan: Scan) -> Target | None:
    """None for an object of a video that is on no later frame: nothing of it could be scored."""
    mask = labels == label
    present = np.flatnonzero(mask.any(axis=(1, 2)))
    if isinstance(scan, Video):
        first = int(present[0])
        if len(present) < 2:
            return None
        return Target(label, len(scan.frames), frames[first], mask[first], frames[first + 1 :], mask[first + 1 :])
    middle = int(present[len(present) // 2])
    volume = isinstance(scan, Volume)
    z_range = (frames[present[0]], frames[present[-1]] + 1) if volume else None
    return Target(label, scan.shape[0] if volume else 1, frames[middle], mask[middle], frames, mask, z_range)
