"""Labelled cases held in memory, with the objects a person could point at found once.

A case is one array of frames with its labels; a picture has one frame. Objects are kept as the box they lie in and a
small boolean crop, so a mask of any frame along any axis costs a paste.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from voxtrace.errors import InputError, VoxtraceError
from voxtrace.manifest import Case

log = logging.getLogger(__name__)

IMAGE_PART_PIXELS = 40  # smaller pieces of a class in a picture are specks, not something a person would box
VOLUME_PART_VOXELS = 20
PARTS_LIMIT = 200
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


def load_cases(cases: Iterable[Case]) -> list[LoadedCase]:
    """Load every case once; one that cannot be used is named in the log and left out. Raises InputError if none can."""
    loaded, failed = [], 0
    for case in cases:
        try:
            loaded.append(load_case(case))
        except (OSError, VoxtraceError, ValueError) as error:
            failed += 1
            log.warning("case %s is left out: %s", case.id, error)
    if not loaded:
        raise InputError(f"none of the {failed} cases could be loaded; see the log for each one's reason")
    return loaded


def load_case(case: Case) -> LoadedCase:
    """Read one case; InputError where image and labels do not fit or nothing is labelled."""
    read = {"image": _read_picture, "volume": _read_volume, "video": _read_video}[case.kind]
    frames, labels, labelled, spacing = read(case)
    if frames.shape[:3] != labels.shape:
        raise InputError(f"image has frames of {frames.shape[:3]}, its labels {labels.shape}")
    objects = find_objects(
        labels, parts=case.label_type == "semantic" and case.kind != "video", video=case.kind == "video"
    )
    if not objects:
        raise InputError("no voxel is labelled")
    return LoadedCase(
        case.id, case.set, case.kind, case.modality, frames, objects, labelled, spacing, grey_percentiles(frames)
    )


def find_objects(labels: np.ndarray, *, parts: bool = True, video: bool = False) -> dict[str, list[LabelledObject]]:
    """(D, H, W) integer labels -> objects by kind. Parts are sought where a value is a class, not one object."""
    found: dict[str, list[LabelledObject]] = {"whole": [], "part": [], "union": [], "all": []}
    flat = labels.shape[0] == 1
    least = IMAGE_PART_PIXELS if flat else VOLUME_PART_VOXELS
    boxes = ndimage.find_objects(labels.astype(np.int32, copy=False))
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


Read = tuple[np.ndarray, np.ndarray, tuple[int, ...], tuple[float, float, float]]


def _read_picture(case: Case) -> Read:
    return _pixels(case.image_path)[None], _labels(case.mask_path)[None], (0,), (1.0, 1.0, 1.0)


def _read_volume(case: Case) -> Read:
    import nibabel

    scan, mask = nibabel.load(case.image_path), nibabel.load(case.mask_path)
    values, labels = np.asanyarray(scan.dataobj), np.asanyarray(mask.dataobj)  # type: ignore[attr-defined]
    if values.ndim != 3 or not np.isfinite(values).all():
        raise InputError(f"a volume of shape {values.shape} with finite values only is expected")
    if values.dtype != np.uint8:
        values = values.round().clip(-32768, 32767).astype(np.int16)
    spacing = tuple(float(s) for s in scan.header.get_zooms()[2::-1])  # type: ignore[attr-defined]
    frames = np.ascontiguousarray(values.T)
    return frames, np.ascontiguousarray(labels.T.astype(np.int32)), tuple(range(len(frames))), spacing  # type: ignore[return-value]


def _read_video(case: Case) -> Read:
    files = sorted(path for path in case.image_path.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    masks = {path.stem: path for path in case.mask_path.iterdir() if path.suffix.lower() == ".png"}
    labelled = tuple(index for index, path in enumerate(files) if path.stem in masks)
    frames = np.stack([_pixels(path) for path in files])
    labels = np.zeros(frames.shape[:3], np.int32)
    for index in labelled:
        labels[index] = _labels(masks[files[index].stem])
    return frames, labels, labelled, (1.0, 1.0, 1.0)


def _pixels(path: Path) -> np.ndarray:
    """(H, W) uint8 where the picture is grey, else (H, W, 3)."""
    with Image.open(path) as picture:
        if picture.mode in ("L", "I;16", "I", "F"):
            pixels = np.asarray(picture)
            return pixels if pixels.dtype == np.uint8 else _stretched(pixels)
        pixels = np.asarray(picture.convert("RGB"))
    grey = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    return np.ascontiguousarray(pixels[..., 0]) if grey else pixels


def _labels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        labels = np.asarray(picture)
    if labels.ndim != 2:
        raise InputError(f"labels at {path} have shape {labels.shape}; one value a pixel is expected")
    return labels.astype(np.int32)


def _stretched(pixels: np.ndarray) -> np.ndarray:
    low, high = np.percentile(pixels, (0.5, 99.5))
    return ((pixels - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8)
