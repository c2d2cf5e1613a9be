"""DICOM: a series of slices as a Volume, checked before it is believed; a single file as a Volume or a Picture.

Slices are sorted by position along the normal (dicom_stack), never by name or number. Several series in a folder are
listed, not mixed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import InputError
from voxtrace.io.dicom_stack import TAGS, Slice, affine_of, stacked
from voxtrace.lazily import Lazily
from voxtrace.volume import Picture, Volume

if TYPE_CHECKING:
    import pydicom

    from voxtrace.io import dicom_pixels
else:
    pydicom, dicom_pixels = Lazily("pydicom"), Lazily("voxtrace.io.dicom_pixels")

SUFFIXES = (".dcm", ".dicom", ".ima")
NOT_SCANS = {"SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC"}


def recognises(head: bytes) -> bool:
    """Whether a file begins as DICOM, with or (as some scanners write) without the preamble."""
    if head[128:132] == b"DICM":
        return True
    return head[:2] in (b"\x02\x00", b"\x08\x00") and head[3:4] == b"\x00" and len(head) > 132


def read(path: Path, select: str | None = None) -> Volume | Picture:
    """One file: a one-slice Volume if it knows its place in the patient, else a Picture (X-ray, ultrasound, photo)."""
    item = _header(path)
    if item is None:
        raise InputError(f"{path} cannot be read as DICOM: it is cut off, damaged, or another kind of file")
    _refuse_what_is_no_slice(item)
    modality = str(item.header.get("Modality", "")) or None
    if item.position is not None and item.header.get("SamplesPerPixel", 1) == 1:
        return Volume(dicom_pixels.rescaled([path]), affine_of([item]), modality, path)
    spacing = item.header.get("PixelSpacing", item.header.get("ImagerPixelSpacing"))
    spacing_mm = None if spacing is None else (float(spacing[0]), float(spacing[1]))
    return Picture(dicom_pixels.picture_pixels(path), spacing_mm, modality, path)


def read_series(folder: Path, select: str | None = None) -> Volume:
    """The one series in a folder (with all folders below it), or the one with the UID or number `select`.

    Raises InputError listing the series where there are several, GeometryError naming what is wrong with the slices.
    """
    slices = _one_series(folder, [item for item in headers(folder) if _is_scan(item)], select)
    for item in slices:
        _refuse_what_is_no_slice(item)
    ordered = stacked(folder, slices)
    modality = str(ordered[0].header.get("Modality", "")) or None
    return Volume(dicom_pixels.rescaled([item.path for item in ordered]), affine_of(ordered), modality, folder)


def holds_dicom(folder: Path) -> bool:
    """Whether at least one file in or below a folder begins as DICOM."""
    return any(_begins_as_dicom(path) for path in _files(folder))


def headers(folder: Path) -> list[Slice]:
    """Every DICOM file in or below the folder, without its pixels; files of other kinds are passed over."""
    found = [_header(path) for path in _files(folder) if _begins_as_dicom(path)]
    return [item for item in found if item is not None]


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))


def _begins_as_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return recognises(file.read(256))


def _header(path: Path) -> Slice | None:
    """The header of one file; None for what is no DICOM image object (DICOMDIR, a damaged file)."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except Exception:  # a damaged header: pydicom raises many kinds
        return None
    if "SOPClassUID" not in header or "DirectoryRecordSequence" in header:
        return None
    position, orientation = header.get("ImagePositionPatient"), header.get("ImageOrientationPatient")
    known = {tag: _plain(header.get(tag)) for tag in TAGS if tag in header}
    if not position or not orientation or len(position) != 3 or len(orientation) != 6:
        return Slice(path, known, None, None)
    return Slice(path, known, np.array(position, float), np.array(orientation, float))


def _plain(value: Any) -> Any:
    """A value of a header as plain Python ones, equal texts kept once."""
    if isinstance(value, pydicom.multival.MultiValue):
        return tuple(_plain(one) for one in value)
    if isinstance(value, str):
        return sys.intern(str(value))
    return float(value) if isinstance(value, float) else int(value) if isinstance(value, int) else value


def _is_scan(item: Slice) -> bool:
    return item.header.get("Modality") not in NOT_SCANS and "Rows" in item.header


def _refuse_what_is_no_slice(item: Slice) -> None:
    frames = int(item.header.get("NumberOfFrames", 1) or 1)
    if frames > 1:
        raise InputError(
            f"{item.path} is a multi-frame DICOM file ({frames} frames), which is not read yet; "
            "make a series or NIfTI of it, for example with dcm2niix or 3D Slicer"
        )
    if not _is_scan(item):
        kind = item.header.get("Modality", "no modality")
        raise InputError(f"{item.path} is a DICOM object without an image to segment ({kind})")


def _one_series(folder: Path, slices: list[Slice], select: str | None) -> list[Slice]:
    if not slices:
        raise InputError(f"{folder} holds DICOM files, but none with an image to segment")
    series: dict[str, list[Slice]] = defaultdict(list)
    for item in slices:
        series[item.series].append(item)
    if select is None and len(series) == 1:
        return slices
    for uid, items in series.items():
        if select in (uid, str(items[0].header.get("SeriesNumber", ""))):
            return items
    lines = "".join(f"\n  {folder.name}#{uid}  {_described(items)}" for uid, items in sorted(series.items()))
    wrong = "take one" if select is None else f"none is {select!r}"
    raise InputError(f"{folder} holds {len(series)} series, {wrong}:{lines}")


def _described(items: Sequence[Slice]) -> str:
    header = items[0].header
    parts = [header.get("Modality", "?"), f"{len(items)} files", f"number {header.get('SeriesNumber', '?')}"]
    return ", ".join(str(part) for part in [*parts, header.get("SeriesDescription", "")] if part)
