"""One case looked at: image, geometry, labels. What cases have in common is compared in `checks`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from voxtrace.datasets.faults import Fault
from voxtrace.datasets.opening import Labels, open_labels, open_scan
from voxtrace.errors import CaseMissingError, GeometryError, InputError, VoxtraceError
from voxtrace.io import npz, picture, read
from voxtrace.io.reading import Scan
from voxtrace.manifest import Case
from voxtrace.volume import Picture, Volume

SPECK_PIXELS, SPECK_VOXELS = 6, 4
PIECES_OF = 64  # labels whose pieces are counted; of more labels each is an object
NEARLY_ALL = 0.95
NO_HU = 10.0
ALIKE = 0.1  # share of the greys of a blurred edge that may have only neighbours of their own value
CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in a case. Hashes are of decoded values: equal pictures have one, however they were packed."""

    case: Case
    faults: tuple[Fault, ...]
    image_hash: str = ""
    labels_hash: str = ""
    spacing_mm: tuple[float, float, float] | None = None


def look_at(case: Case) -> Look:
    """Open a case and say what is wrong with it. Never raises for what lies in the files."""
    try:
        scan = open_scan(case)
        image_hash, faults = _image(case, scan)
    except CaseMissingError as error:
        return Look(case, (Fault("missing", case.id, str(error)),))
    except (VoxtraceError, OSError, ValueError, MemoryError) as error:
        return Look(case, (Fault("unreadable", case.id, str(error)),))
    spacing = scan.spacing_mm if isinstance(scan, Volume) else None
    try:
        labels = open_labels(case, scan)
    except (VoxtraceError, OSError, ValueError, MemoryError) as error:
        return Look(case, (*faults, *_unusable(case, error)), image_hash, "", spacing)
    faults += _labels(case, labels, scan)
    return Look(case, tuple(faults), image_hash, _hash([labels.array]), spacing)


def file_sha256(path: Path) -> str | None:
    """Of a file, read in pieces; None for a folder."""
    if not path.is_file():
        return None
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _image(case: Case, scan: Scan) -> tuple[str, list[Fault]]:
    """The hash of what is seen, and what is wrong with it; a video's frames are read one by one."""
    digest = hashlib.blake2b(digest_size=16)
    low, high, strange = np.inf, -np.inf, 0
    for frame in _frames(scan):
        digest.update(f"{frame.shape}{frame.dtype}".encode())
        digest.update(np.ascontiguousarray(frame).data)
        if frame.dtype.kind == "f" and not (finite := np.isfinite(frame)).all():
            strange += int((~finite).sum())
            frame = frame[finite]
        if frame.size:
            low, high = min(low, float(frame.min())), max(high, float(frame.max()))
    faults = []
    if strange:
        faults.append(Fault("not-finite", case.id, f"{strange} voxels"))
    if not low < high:
        faults.append(Fault("constant", case.id, f"its value is {low:g}"))
    elif case.modality == "ct" and isinstance(scan, Volume) and scan.array.dtype != np.uint8 and high <= NO_HU:
        faults.append(Fault("not-hu", case.id, f"values {low:g} to {high:g}"))
    return digest.hexdigest(), faults


def _frames(scan: Scan) -> Iterator[np.ndarray]:
    if isinstance(scan, Volume):
        yield from scan.array
    elif isinstance(scan, Picture):
        yield scan.pixels
    else:
        yield from (scan.frames[index] for index in range(len(scan.frames)))


def _hash(arrays: list[np.ndarray]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _unusable(case: Case, error: Exception) -> list[Fault]:
    """What labels are that could not be opened. Where they lie elsewhere, their values are still looked at."""
    lies = [Fault("geometry", case.id, str(error))] if isinstance(error, GeometryError) else []
    try:
        values = _raw(case)
    except (VoxtraceError, OSError, ValueError, MemoryError):
        return lies or [Fault("labels", case.id, str(error))]
    return lies + (_values(case, values) or ([] if lies else [Fault("labels", case.id, str(error))]))


def _raw(case: Case) -> np.ndarray:
    """The mask's values as they are stored."""
    if case.mask_path.suffix.lower() == ".npz":
        return npz.read_mask(case.mask_path)
    scan = read(case.mask_path)
    if isinstance(scan, Volume):
        return scan.array
    if isinstance(scan, Picture):
        return picture.grey_labels(scan.pixels, case.mask_path)
    raise InputError(f"{case.mask_path} is a video")


def _values(case: Case, values: np.ndarray) -> list[Fault]:
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


def _labels(case: Case, labels: Labels, scan: Scan) -> list[Fault]:
    """Faults of labels that lie on their scan and are whole numbers."""
    values, counts = _counted(labels.array)
    background = int(counts[values == 0].sum())
    values, counts = values[values > 0], counts[values > 0]
    if not len(values):
        return [Fault("empty", case.id, "every voxel is background")]
    if _grey_between(labels.array, values):
        return [Fault("interpolated", case.id, f"0 and 255 with {len(values) - 1} values between, along edges only")]
    faults = []
    named = {value for value, _ in case.labels} if case.labels else None
    if named is not None and (strange := [int(value) for value in values if value not in named]):
        known = ", ".join(f"{value} {name}" for value, name in case.labels or ())
        faults.append(Fault("unexpected", case.id, f"{_listed(strange)}; known are {known}"))
    if background < (1 - NEARLY_ALL) * labels.array.size:
        faults.append(Fault("full", case.id, f"{1 - background / labels.array.size:.1%} of all voxels"))
    if case.kind != "video" and (specks := _specks(case, labels.array, values, counts)):
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
