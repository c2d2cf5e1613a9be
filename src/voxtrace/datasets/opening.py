"""A labelled case opened: the scan, and its labels on the scan's own voxels, however they are coded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxtrace.datasets.coding import decode
from voxtrace.errors import CaseMissingError, GeometryError, InputError
from voxtrace.io import picture, read, read_mask
from voxtrace.io.labels import smallest_unsigned
from voxtrace.io.reading import Scan, stems
from voxtrace.manifest import Case
from voxtrace.volume import Picture, Video, Volume

TYPES = {"image": Picture, "volume": Volume, "video": Video}


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """array: (D, H, W) unsigned, 0 is background; a picture has D = 1. Voxels to be ignored are 0.
    known: the frames on which every voxel's label is known."""

    array: np.ndarray
    known: tuple[int, ...]


def open_scan(case: Case) -> Scan:
    """The case's scan. Raises CaseMissingError where it is not there, InputError where it is of another kind."""
    for what, path in (("image", case.image_file), ("mask", case.mask_path)):
        if not path.exists():
            why = "is a link to nothing: was it fetched?" if path.is_symlink() else "is not there"
            raise CaseMissingError(f"the {what} {path} {why}")
    scan = read(case.image_path)
    if not isinstance(scan, TYPES[case.kind]):
        raise InputError(f"{case.image_path} is a {type(scan).__name__.lower()}; the case {case.id} says {case.kind}")
    return scan


def open_labels(case: Case, scan: Scan) -> Labels:
    """The labels of a case whose scan is open. Raises GeometryError where they do not lie on it, InputError where the
    values are no labels, or nothing is known of any frame."""
    array = read_mask(case.mask_path, like=scan) if case.coding is None else _decoded(case, scan)
    array = array[None] if array.ndim == 2 else array
    known = _labelled(case.mask_path, scan) if isinstance(scan, Video) else tuple(range(len(array)))
    if case.ignore is None:
        return Labels(array, known)
    ignored = array == case.ignore
    known = tuple(index for index in known if not ignored[index].any())
    if not known:
        raise InputError(f"every frame of {case.mask_path} has voxels of the ignore label {case.ignore}")
    return Labels(np.where(ignored, 0, array), known)


def _labelled(folder: Path, video: Video) -> tuple[int, ...]:
    """A video's masks may cover only some frames; on the others nothing is known."""
    named = {path.stem for path in folder.iterdir()}
    return tuple(index for index, stem in enumerate(stems(video)) if stem in named)


def _decoded(case: Case, scan: Scan) -> np.ndarray:
    assert case.coding is not None
    if not isinstance(scan, Video):
        return _fitting(decode(case.mask_path, case.coding), scan.shape[-2:], case.mask_path)
    found = {path.stem: path for path in picture.pictures_in(case.mask_path)}
    array = np.zeros(scan.shape, np.uint8)
    for index, stem in enumerate(stems(scan)):
        if stem in found:
            array[index] = _fitting(decode(found[stem], case.coding), scan.shape[1:], found[stem])
    return smallest_unsigned(array)


def _fitting(labels: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    if labels.shape != shape:
        raise GeometryError(f"the mask {path} has shape {labels.shape}, the scan {shape}")
    return labels
