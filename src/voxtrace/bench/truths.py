"""A labelled case opened: the scan, and each object in it with the frame that it is marked on.

A volume's object is marked on the slice in the middle of those that it is on; a video's on the first labelled frame
that shows it, and only the labelled frames after that are scored; a picture has one frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxtrace.errors import InputError
from voxtrace.io import read, read_mask
from voxtrace.io.reading import Scan, stems
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
    labels = read_mask(case.mask_path, like=scan)
    if isinstance(scan, Video):
        frames = _labelled_frames(case.mask_path, scan)
        return labels[list(frames)], frames
    labels = labels[None] if labels.ndim == 2 else labels
    return labels, tuple(range(len(labels)))


def _labelled_frames(folder: Path, video: Video) -> tuple[int, ...]:
    """A video's masks may cover only some frames; on the others nothing is known."""
    named = {path.stem for path in folder.iterdir()}
    return tuple(index for index, stem in enumerate(stems(video)) if stem in named)


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
    z_range = (int(present[0]), int(present[-1]) + 1) if isinstance(scan, Volume) else None
    return Target(label, len(frames), middle, mask[middle], frames, mask, z_range)
