"""Slices of one DICOM series as a regular stack: sorted by position along the normal, and checked.

Whatever would silently bend the scan is refused with its place: missing slices, two images at one position, several
orientations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import GeometryError

GAP = 0.05  # a gap may differ from the usual one, and a slice lie off the line, by this share of the slice distance
SAME_DIRECTION = 1e-3
TELLING_TAGS = ("AcquisitionNumber", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "ImageType")
TAGS = (
    *TELLING_TAGS,
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality"),
    *("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelSpacing", "ImagerPixelSpacing"),
    *("SpacingBetweenSlices", "SliceThickness"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """What is known of one file before its pixels are read. position and orientation (of rows, of columns) are LPS mm;
    None if not said. header: the values of TAGS that it has; whole headers of thousands of slices would take gigabytes.
    """

    path: Path
    header: Mapping[str, Any]
    position: np.ndarray | None
    orientation: np.ndarray | None

    @property
    def series(self) -> str:
        """The series' unique id."""
        return str(self.header.get("SeriesInstanceUID", ""))


def stacked(folder: Path, slices: list[Slice]) -> list[Slice]:
    """The slices along their normal. Raises GeometryError where they do not make one regular stack."""
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


def affine_of(ordered: Sequence[Slice]) -> np.ndarray:
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
            "size (rows, columns)": (int(item.header["Rows"]), int(item.header["Columns"])),
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
