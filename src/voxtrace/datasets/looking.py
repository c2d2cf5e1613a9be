"""One case looked at: image, geometry, labels. What cases have in common is compared in `checks`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from voxtrace.datasets.faults import Fault
from voxtrace.datasets.label_faults import label_faults, value_faults
from voxtrace.datasets.opening import open_labels, open_scan
from voxtrace.errors import CaseMissingError, GeometryError, InputError, VoxtraceError
from voxtrace.io import npz, picture, read
from voxtrace.io.reading import Scan
from voxtrace.manifest import Case
from voxtrace.volume import Picture, Volume

NO_HU = 10.0


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
    faults += label_faults(case, labels.array)
    return Look(case, tuple(faults), image_hash, _hash([labels.array]), spacing)


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
    return lies + (value_faults(case, values) or ([] if lies else [Fault("labels", case.id, str(error))]))


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
