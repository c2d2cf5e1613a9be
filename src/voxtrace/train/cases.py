"""Labelled cases held in memory, with the objects a person could point at found once.

A case is one array of frames with its labels; a picture has one frame. Objects are kept as the box they lie in and a
small boolean crop, so a mask of any frame along any axis costs a paste.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxtrace.datasets.opening import open_labels, open_scan
from voxtrace.errors import InputError, VoxtraceError
from voxtrace.manifest import Case
from voxtrace.train.greys import frames_of
from voxtrace.volume import Volume

log = logging.getLogger(__name__)

IMAGE_PART_PIXELS = 40  # smaller pieces of a class in a picture are specks, not something a person would box
VOLUME_PART_VOXELS = 20
PARTS_LIMIT = 200
LABELS_LIMIT = 1_000_000  # a list as long as the largest label is made
LOW_PERCENTILES, HIGH_PERCENTILES = (0.0, 0.5, 1.0, 2.0), (98.0, 99.0, 99.5, 99.9)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledObject:
    """One thing to segment: `crop` (d, h, w) bool lies at `start` (z, y, x) of its case's frames.

    kind: "whole" (all of a label), "part" (one connected piece of it), "union" (several classes together) or "all" (all
    objects of a picture whose labels are objects). label: the value in the reference; 0 for several.
    """

    start: tuple[int, int, int]
    crop: np.ndarray
    kind: str
    label: int = 0

    def frames(self, axis: int = 0) -> range:
        """The frames along `axis` between the object's first and last (it may be absent from some)."""
        return range(self.start[axis], self.start[axis] + self.crop.shape[axis])

    def areas(self, axis: int = 0) -> np.ndarray:
        """Pixels on each of `frames(axis)`."""
        return self.crop.sum(axis=tuple(a for a in range(3) if a != axis))

    def on_frame(self, index: int, axis: int = 0) -> tuple[tuple[int, int], np.ndarray] | None:
        """(first row and column, boolean patch) on a frame along `axis`; None where the object is not."""
        local = index - self.start[axis]
        if not 0 <= local < self.crop.shape[axis]:
            return None
        first = tuple(s for a, s in enumerate(self.start) if a != axis)
        return first, self.crop.take(local, axis)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCase:
    """A case in memory.

    frames: (D, H, W) or (D, H, W, 3); uint8 as seen, or int16 (CT in HU, MR, PET), windowed when drawn.
    objects: by kind; every list that is present has at least one.
    labelled: the frames along axis 0 whose labels are known (videos may have few).
    spacing: (z, y, x) in mm; ones where unknown.
    percentiles: grey values at LOW_PERCENTILES and HIGH_PERCENTILES of the voxels that are not zero.
    """

    id: str
    set: str
    kind: str
    modality: str
    frames: np.ndarray
    objects: dict[str, list[LabelledObject]]
    labelled: tuple[int, ...]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    percentiles: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What could be loaded, and why the rest could not: (case id, reason)."""

    cases: list[LoadedCase]
    left_out: list[tuple[str, str]]


def load_cases(cases: Iterable[Case]) -> list[LoadedCase]:
    """`load_all`, for who does not ask what was left out."""
    return load_all(cases).cases


def load_all(cases: Iterable[Case]) -> Loaded:
    """Load every case once; one that cannot be used is named in the log and left out. Raises InputError if none can."""
    loaded: list[LoadedCase] = []
    left_out: list[tuple[str, str]] = []
    for case in cases:
        try:
            loaded.append(load_case(case))
        except (OSError, VoxtraceError, ValueError, MemoryError) as error:
            left_out.append((case.id, str(error) or type(error).__name__))
            log.warning("case %s is left out: %s", *left_out[-1])
    if not loaded:
        first = f" (the first, {left_out[0][0]}: {left_out[0][1]})" if left_out else ""
        raise InputError(f"none of the {len(left_out)} cases could be loaded{first}")
    return Loaded(loaded, left_out)


def load_case(case: Case) -> LoadedCase:
    """Read one case; InputError where image and labels do not fit or nothing is labelled."""
    scan = open_scan(case)
    frames = frames_of(scan, case.modality)
    labels = open_labels(case, scan)
    if frames.shape[:3] != labels.array.shape:
        raise InputError(f"image has frames of {frames.shape[:3]}, its labels {labels.array.shape}")
    objects = find_objects(
        labels.array, parts=case.label_type == "semantic" and case.kind != "video", video=case.kind == "video"
    )
    if not objects:
        raise InputError("no voxel is labelled")
    spacing = scan.spacing_mm if isinstance(scan, Volume) else (1.0, 1.0, 1.0)
    return LoadedCase(
        case.id, case.set, case.kind, case.modality, frames, objects, labels.known, spacing, grey_percentiles(frames)
    )


def find_objects(labels: np.ndarray, *, parts: bool = True, video: bool = False) -> dict[str, list[LabelledObject]]:
    """(D, H, W) integer labels -> objects by kind. Parts are sought where a value is a class, not one object."""
    found: dict[str, list[LabelledObject]] = {"whole": [], "part": [], "union": [], "all": []}
    flat = labels.shape[0] == 1
    least = IMAGE_PART_PIXELS if flat else VOLUME_PART_VOXELS
    if labels.max(initial=0) > LABELS_LIMIT:
        raise InputError(f"labels go up to {labels.max()}, beyond {LABELS_LIMIT}: are they labels? Number them from 1")
    boxes = ndimage.find_objects(labels)
    for value, box in enumerate(boxes, 1):
        if box is None:
            continue
        crop = labels[box] == value
        if crop.sum() < 4:
            continue
        found["whole"].append(LabelledObject(_start(box), crop, "whole", value))
        if parts:
            pieces = list(_pieces(crop, _start(box), least))
            found["part"] += pieces if len(pieces) > 1 else []
    present = [value for value, box in enumerate(boxes, 1) if box is not None]
    together = "all" if flat and not parts else "union" if parts and not video and len(present) <= 12 else ""
    if together and len(present) > 1:
        box = ndimage.find_objects((labels > 0).astype(np.uint8))[0]
        found[together].append(LabelledObject(_start(box), labels[box] > 0, together))
    return {kind: objects for kind, objects in found.items() if objects}


def grey_percentiles(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Grey values at the low and high percentiles of non-zero voxels; None for uint8, which is shown as it is."""
    if frames.dtype == np.uint8:
        return None
    values = frames[frames != 0]
    values = values if values.size else frames.ravel()
    cut = np.percentile(values, LOW_PERCENTILES + HIGH_PERCENTILES).astype(np.float32)
    return cut[: len(LOW_PERCENTILES)], cut[len(LOW_PERCENTILES) :]


def _pieces(crop: np.ndarray, start: tuple[int, int, int], least: int) -> Iterator[LabelledObject]:
    """Connected pieces of at least `least` voxels, the largest first."""
    pieces, count = ndimage.label(crop, structure=np.ones((3, 3, 3)))
    if count < 2:
        return
    sizes = np.bincount(pieces.ravel())[1:]
    boxes = ndimage.find_objects(pieces)
    for index in np.argsort(-sizes, kind="stable")[:PARTS_LIMIT]:
        if sizes[index] < least:
            return
        box = boxes[index]
        shifted = tuple(s + b for s, b in zip(start, _start(box), strict=True))
        yield LabelledObject(shifted, pieces[box] == index + 1, "part")  # type: ignore[arg-type]


def _start(box: tuple[slice, ...]) -> tuple[int, int, int]:
    return tuple(int(part.start) for part in box)  # type: ignore[return-value]
