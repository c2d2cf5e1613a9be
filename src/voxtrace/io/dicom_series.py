"""DICOM: a series of slices as a Volume, checked before it is believed; a single file as a Volume or a Picture.

Slices are sorted by position along the normal, never by name or number. Whatever would silently bend the scan is
refused with its place: missing slices, two images at one position, several orientations or series.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from voxtrace.errors import GeometryError, InputError
from voxtrace.io.dicom_pixels import picture_pixels, rescaled
from voxtrace.volume import Picture, Volume

SUFFIXES = (".dcm", ".dicom", ".ima")
NOT_SCANS = {"SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC"}
GAP = 0.05  # a gap may differ from the usual one, and a slice lie off the line, by this share of the slice distance
SAME_DIRECTION = 1e-3
TELLING_TAGS = ("AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "ImageType")


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """What is known of one file before its pixels are read. position and rows_columns are LPS mm; None if not said."""

    path: Path
    header: Dataset
    position: np.ndarray | None
    orientation: np.ndarray | None

    @property
    def series(self) -> str:
        """The series' unique id."""
        return str(self.header.get("SeriesInstanceUID", ""))


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
        return Volume(rescaled([path]), _affine([item]), modality, path)
    spacing = item.header.get("PixelSpacing", item.header.get("ImagerPixelSpacing"))
    spacing_mm = None if spacing is None else (float(spacing[0]), float(spacing[1]))
    return Picture(picture_pixels(path), spacing_mm, modality, path)


def read_series(folder: Path, select: str | None = None) -> Volume:
    """The one series in a folder (with all folders below it), or the one with the UID or number `select`.

    Raises InputError listing the series where there are several, GeometryError naming what is wrong with the slices.
    """
    slices = _one_series(folder, [item for item in headers(folder) if _is_scan(item)], select)
    for item in slices:
        _refuse_what_is_no_slice(item)
    ordered = _sorted(folder, slices)
    modality = str(ordered[0].header.get("Modality", "")) or None
    return Volume(rescaled([item.path for item in ordered]), _affine(ordered), modality, folder)


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
    if not position or not orientation or len(position) != 3 or len(orientation) != 6:
        return Slice(path, header, None, None)
    return Slice(path, header, np.array(position, float), np.array(orientation, float))


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


def _sorted(folder: Path, slices: list[Slice]) -> list[Slice]:
    """The slices along their normal; GeometryError where they do not make one regular stack."""
    _require_positions(folder, slices)
    _require_equal(folder, slices)
    distances = _along_normal(slices)
    order = np.argsort(distances, kind="stable")
    ordered, distances = [slices[i] for i in order], distances[order]
    if len(ordered) > 1:
        gaps = np.diff(distances)
        usual = float(np.median(gaps))
        _require_single(folder, ordered, gaps, usual)
        _require_regular(folder, ordered, gaps, usual)
        _require_straight(folder, ordered, usual)
    return ordered


def _along_normal(slices: Sequence[Slice]) -> np.ndarray:
    """(N,) mm of each slice along the normal of the first (row direction x column direction)."""
    orientation = slices[0].orientation
    assert orientation is not None
    normal = np.cross(orientation[:3], orientation[3:])
    return np.array([item.position @ normal for item in slices if item.position is not None])


def _require_positions(folder: Path, slices: Sequence[Slice]) -> None:
    lost = [item.path.name for item in slices if item.position is None]
    if lost:
        raise GeometryError(
            f"{folder}: {len(lost)} of {len(slices)} files do not say where they lie (no ImagePositionPatient or "
            f"ImageOrientationPatient), first {lost[0]}; they are no stack of slices. A single file can be read"
        )


def _require_equal(folder: Path, slices: Sequence[Slice]) -> None:
    """All slices must share orientation, pixel spacing and size; the message gives a file of the few that differ."""

    def kinds(item: Slice) -> dict[str, tuple[float, ...]]:
        assert item.orientation is not None
        spacing = item.header.get("PixelSpacing", (1, 1))
        return {
            "orientation (row and column direction)": tuple(np.rint(item.orientation / SAME_DIRECTION).tolist()),
            "pixel spacing": tuple(round(float(value), 4) for value in spacing),
            "size (rows, columns)": (int(item.header.Rows), int(item.header.Columns)),
        }

    for name in kinds(slices[0]):
        counts = Counter(kinds(item)[name] for item in slices)
        if len(counts) > 1 and (not name.startswith("orientation") or _directions_differ(slices)):
            (_, most), (rare, few) = counts.most_common()[0], counts.most_common()[-1]
            example = next(item for item in slices if kinds(item)[name] == rare)
            raise GeometryError(
                f"{folder}: the {name} is not the same in all slices: {most} agree, {few} differ, for example "
                f"{example.path.name}. Is it a localizer? Move it away or give the folder without it"
            )


def _directions_differ(slices: Sequence[Slice]) -> bool:
    """Rounding splits equal directions at times; this looks at the true differences."""
    directions = np.array([item.orientation for item in slices])
    return bool(np.abs(directions - directions[0]).max() > SAME_DIRECTION)


def _require_single(folder: Path, ordered: Sequence[Slice], gaps: np.ndarray, usual: float) -> None:
    double = np.flatnonzero(gaps <= max(GAP * usual, 1e-3))
    if not len(double):
        return
    first, second = ordered[double[0]], ordered[double[0] + 1]
    place = _place(first)
    if first.header.get("SOPInstanceUID") == second.header.get("SOPInstanceUID"):
        raise GeometryError(
            f"{folder}: {first.path.name} and {second.path.name} are the same image; remove one ({place})"
        )
    differ = [tag for tag in TELLING_TAGS if first.header.get(tag) != second.header.get(tag)]
    raise GeometryError(
        f"{folder}: {len(double)} positions hold two images, the first at {place}: {first.path.name} and "
        f"{second.path.name}. {'They differ in ' + ', '.join(differ) + ': s' if differ else 'S'}everal acquisitions in "
        "one series? Give a folder with one of them"
    )


def _require_regular(folder: Path, ordered: Sequence[Slice], gaps: np.ndarray, usual: float) -> None:
    wrong = np.flatnonzero(np.abs(gaps - usual) > GAP * usual + 0.01)
    if not len(wrong):
        return
    places = "; ".join(
        f"{gaps[i]:.2f} mm between {ordered[i].path.name} and {ordered[i + 1].path.name} ({_place(ordered[i])})"
        for i in wrong[:3]
    )
    missing = int(np.rint(gaps[wrong] / usual - 1).clip(0).sum())
    what = f"{missing} slices are missing" if missing else "slices are not evenly spaced"
    raise GeometryError(f"{folder}: {what}: they lie {usual:.2f} mm apart, but {places}. Is the copy complete?")


def _require_straight(folder: Path, ordered: Sequence[Slice], usual: float) -> None:
    positions = np.array([item.position for item in ordered])
    line = positions[0] + np.linspace(0, 1, len(ordered))[:, None] * (positions[-1] - positions[0])
    off = np.linalg.norm(positions - line, axis=1)
    if off.max() > GAP * usual + 0.01:
        worst = ordered[int(off.argmax())]
        raise GeometryError(
            f"{folder}: slices do not lie in a straight row: {worst.path.name} is {off.max():.2f} mm beside its place"
        )


def _place(item: Slice) -> str:
    assert item.position is not None
    return "position " + ", ".join(f"{value:g}" for value in item.position) + " mm"


def _affine(ordered: Sequence[Slice]) -> np.ndarray:
    """(4, 4) LPS of slices in order. The step between slices is their own: a tilted gantry gives a sheared affine."""
    first, last = ordered[0], ordered[-1]
    assert first.position is not None
    assert first.orientation is not None
    assert last.position is not None
    rows_mm, columns_mm = (float(value) for value in first.header.get("PixelSpacing", (1, 1)))
    along_row, along_column = first.orientation[:3], first.orientation[3:]
    if len(ordered) > 1:
        step = (last.position - first.position) / (len(ordered) - 1)
    else:
        thickness = first.header.get("SpacingBetweenSlices") or first.header.get("SliceThickness") or 1.0
        step = np.cross(along_row, along_column) * abs(float(thickness))
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([along_row * columns_mm, along_column * rows_mm, step])
    affine[:3, 3] = first.position
    return affine
