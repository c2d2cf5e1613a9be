"""NRRD (.nrrd, .nhdr) and 3D Slicer's segmentations in it (.seg.nrrd): names, label values and layers of segments."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import nrrd
import numpy as np
from nrrd.reader import _determine_datatype as determine_datatype

from voxtrace.errors import GeometryError, InputError
from voxtrace.io.choice import choose
from voxtrace.io.labels import label_slabs, label_type, smallest_unsigned
from voxtrace.io.large import is_large, one_of, unpacked
from voxtrace.mapped import let_go, map_file, slabs
from voxtrace.scratch import zeros
from voxtrace.volume import Volume

SUFFIXES = (".nrrd", ".nhdr", ".seg.nrrd")
TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
COLOURS = ((0.50, 0.68, 0.50), (0.95, 0.84, 0.57), (0.69, 0.48, 0.40), (0.43, 0.72, 0.82), (0.85, 0.40, 0.31))


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a .seg.nrrd: where its voxels are (layer, value) and what it is called."""

    name: str
    layer: int
    value: int


def recognises(head: bytes) -> bool:
    """Whether a file begins as NRRD."""
    return head.startswith(b"NRRD000")


def read(path: Path, select: str | None = None) -> Volume:
    """One volume. `select`: its index along a fourth axis, or a segment's name in a .seg.nrrd.

    A .seg.nrrd gives a label map with the file's own label values; if two layers use the same value, segments are
    numbered 1, 2, ... as they are listed (see `read_names`). Overlapping segments are refused: take one by its name.
    """
    array, header = _content(path)
    affine, extra = _geometry(path, array, header)
    segments = _segments(header)
    array = np.moveaxis(array, extra, range(len(extra)))
    if segments:
        return Volume(_merged(path, array, segments, select), affine, None, path)
    return Volume(_choose(path, array, len(extra), select), affine, None, path)


def _content(path: Path) -> tuple[np.ndarray, Mapping[str, Any]]:
    """The array in C order, mapped or unpacked into a scratch file if it is large, and the header."""
    with path.open("rb") as file:
        header = nrrd.read_header(file)
        sizes = tuple(int(n) for n in header.get("sizes", ())[::-1])
        dtype = _type(header)
        if dtype is None or len(sizes) != header.get("dimension") or not is_large(sizes, dtype):
            return nrrd.read(str(path), index_order="C")
        name = header.get("data file", header.get("datafile"))
        if name is None:
            return _large(path, file, header["encoding"], sizes, dtype), header
    beside = path.parent / name
    if not beside.is_file():
        raise InputError(f"{path} keeps its voxels in {name}, which is not beside it")
    with beside.open("rb") as file:
        return _large(beside, file, header["encoding"], sizes, dtype), header


def _type(header: Mapping[str, Any]) -> np.dtype | None:
    """Of the voxels, where they lie bare or packed from the header's end on; None where pynrrd must find them."""
    known = header.get("encoding") in ("raw", "gzip", "gz")
    elsewhere = re.search(r"%|^LIST", str(header.get("data file", header.get("datafile", ""))))
    skips = any(header.get(name, 0) for name in ("line skip", "lineskip", "byte skip", "byteskip"))
    return determine_datatype(header) if known and not elsewhere and not skips and "type" in header else None


def _large(path: Path, file: IO[bytes], encoding: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if encoding == "raw":
        return map_file(path, dtype, shape, file.tell())
    return unpacked(path, gzip.GzipFile(fileobj=file).read, shape, dtype)


def read_names(path: Path) -> dict[int, str]:
    """{label: name} of a .seg.nrrd, in the numbers that `read` gives; {} for other NRRD files."""
    segments = _segments(nrrd.read_header(str(path)))
    return {label: segment.name for label, segment in zip(_numbers(segments), segments, strict=True)}


def write(path: Path, mask: np.ndarray, like: Volume) -> None:
    """(D, H, W) labels as gzipped NRRD in LPS."""
    _write(path, mask, _header(like), label_type(mask))


def write_segmentation(path: Path, mask: np.ndarray, like: Volume, names: Mapping[int, str]) -> None:
    """(D, H, W) labels as .seg.nrrd with one layer: 3D Slicer opens it as a segmentation with these names."""
    header = _header(like) | {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    extents = _extents(mask)
    for index, (value, name) in enumerate(sorted(names.items())):
        header |= _segment_fields(index, value, name, extents.get(value))
    _write(path, mask, header, label_type(mask))


def _write(path: Path, mask: np.ndarray, header: dict[str, Any], dtype: np.dtype) -> None:
    """pynrrd's header, then the labels in parts: it would copy them as a whole."""
    sample = io.BytesIO()
    nrrd.write(sample, np.zeros((1, 1, 1), dtype), header, index_order="C")
    text = sample.getvalue().partition(b"\n\n")[0]
    sizes = " ".join(map(str, mask.shape[::-1])).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    with path.open("wb") as file:
        file.write(text.replace(b"\nsizes: 1 1 1\n", b"\nsizes: " + sizes + b"\n") + b"\n\n")
        for part in label_slabs(mask, dtype):
            file.write(packer.compress(part.data))
        file.write(packer.flush())


def _extents(mask: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """{label: [(x0, x1), (y0, y1), (z0, z1)]}, inclusive, of every label in a mask."""
    extents: dict[int, list[tuple[int, int]]] = {}
    for start, part in slabs(mask):
        for value in np.unique(part).tolist():
            voxels = part == value
            found = [np.flatnonzero(voxels.any(axis=tuple({0, 1, 2} - {axis}))) for axis in (2, 1, 0)]
            here = [(int(i[0]) + first, int(i[-1]) + first) for i, first in zip(found, (0, 0, start), strict=True)]
            before = extents.get(value, here)
            extents[value] = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(before, here, strict=True)]
    return extents


def _header(like: Volume) -> dict[str, Any]:
    return {
        "space": "left-posterior-superior",
        "space directions": like.affine_lps[:3, :3].T,
        "space origin": like.affine_lps[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
    }


def _segment_fields(index: int, value: int, name: str, bounds: list[tuple[int, int]] | None) -> dict[str, str]:
    """The key/value pairs that 3D Slicer reads for one segment; the extent is x0 x1 y0 y1 z0 z1, inclusive."""
    extent = " ".join(f"{low} {high}" for low, high in bounds or [(0, -1)] * 3)
    red, green, blue = COLOURS[index % len(COLOURS)]
    fields = {
        "ID": f"Segment_{value}",
        "Name": name,
        "NameAutoGenerated": "0",
        "Color": f"{red} {green} {blue}",
        "ColorAutoGenerated": "1",
        "LabelValue": str(value),
        "Layer": "0",
        "Extent": extent,
        "Tags": "Segmentation.Status:inprogress|",
    }
    return {f"Segment{index}_{key}": text for key, text in fields.items()}


def _geometry(path: Path, array: np.ndarray, header: Mapping[str, Any]) -> tuple[np.ndarray, list[int]]:
    """The LPS affine, and the axes of the C-ordered array that are not space (colours, time, layers)."""
    if array.dtype.names or array.dtype.kind not in "biuf":
        raise InputError(f"{path} holds values of type {array.dtype}; real numbers are needed")
    directions = header.get("space directions")
    if directions is None:
        return _from_spacings(path, array, header)
    rows = [None if row is None or not np.isfinite(row).all() else np.asarray(row, float) for row in directions]
    spatial = [axis for axis, row in enumerate(rows) if row is not None]
    if len(spatial) not in (2, 3):
        raise InputError(f"{path} has {len(spatial)} axes in space; a scan has 3")
    extra = [array.ndim - 1 - axis for axis in range(array.ndim) if axis not in spatial]
    affine = np.eye(4)
    vectors = [row for row in rows if row is not None]
    if len(vectors[0]) != 3:
        raise GeometryError(f"{path}: its space has {len(vectors[0])} dimensions; a scan's has 3")
    if len(vectors) == 2:
        normal = np.cross(vectors[0], vectors[1])
        vectors.append(normal / np.linalg.norm(normal))
    affine[:3, :3] = np.array(vectors).T
    affine[:3, 3] = header.get("space origin", np.zeros(3))
    signs = _signs(path, header)
    return np.diag([*signs, 1.0]) @ affine, extra


def _signs(path: Path, header: Mapping[str, Any]) -> tuple[int, int, int]:
    space = str(header.get("space", "left-posterior-superior")).lower()
    if space in ("scanner-xyz", "3d-right-handed"):
        return 1, 1, 1
    if space not in TO_LPS:
        raise GeometryError(f"{path}: space {space!r} is unknown here; known are {', '.join(TO_LPS)}")
    return TO_LPS[space]  # type: ignore[return-value]


def _from_spacings(path: Path, array: np.ndarray, header: Mapping[str, Any]) -> tuple[np.ndarray, list[int]]:
    """An NRRD without directions: its spacings, if any, and no orientation. Axes beyond the third are not space."""
    kinds = [str(kind).lower() for kind in header.get("kinds", [])]
    notspace = [axis for axis, kind in enumerate(kinds) if kind not in ("domain", "space", "???", "none")]
    spatial = [axis for axis in range(array.ndim) if axis not in notspace][:3]
    extra = [array.ndim - 1 - axis for axis in range(array.ndim) if axis not in spatial]
    spacings = header.get("spacings", np.ones(array.ndim))
    steps = [float(spacings[axis]) if np.isfinite(spacings[axis]) else 1.0 for axis in spatial]
    return np.diag([*(steps + [1.0] * (3 - len(steps))), 1.0]), extra


def _choose(path: Path, array: np.ndarray, extra: int, select: str | None) -> np.ndarray:
    """(extra..., z, y, x) or (extra..., y, x) -> (z, y, x)."""
    before, space = array.shape[:extra], array.shape[extra:]
    index = choose(path, int(np.prod(before, dtype=int)), select, f"has shape {array.shape}")
    return one_of(array, before, index).reshape((1, *space) if len(space) == 2 else space)


def _segments(header: Mapping[str, Any]) -> list[Segment]:
    indices = sorted({int(match[1]) for key in header if (match := re.match(r"Segment(\d+)_", key))})
    return [
        Segment(
            str(header.get(f"Segment{i}_Name", header.get(f"Segment{i}_ID", f"Segment {i}"))),
            int(header.get(f"Segment{i}_Layer", 0)),
            int(header.get(f"Segment{i}_LabelValue", 1)),
        )
        for i in indices
    ]


def _numbers(segments: list[Segment]) -> list[int]:
    """The label of each segment: its own value, or its place in the list where two share a value."""
    values = [segment.value for segment in segments]
    return values if len(set(values)) == len(values) else list(range(1, len(values) + 1))


def _merged(path: Path, array: np.ndarray, segments: list[Segment], select: str | None) -> np.ndarray:
    """(layers, z, y, x) or (z, y, x) with its segments -> (z, y, x) labels."""
    layers = array if array.ndim == 4 else array[None]
    numbers = _numbers(segments)
    if select is not None:
        chosen = [i for i, segment in enumerate(segments) if select in (segment.name, str(numbers[i]))]
        if not chosen:
            names = ", ".join(segment.name for segment in segments)
            raise InputError(f"{path} has no segment {select!r}; its segments are {names}")
        segments, numbers = [segments[chosen[0]]], [numbers[chosen[0]]]
    labels = zeros(layers.shape[1:], np.uint32)
    for number, segment in zip(numbers, segments, strict=True):
        both = 0
        for start, part in slabs(layers[segment.layer]):
            voxels, mine = part == segment.value, labels[start : start + len(part)]
            both += int(np.count_nonzero(mine[voxels]))
            mine[voxels] = number
            let_go(labels)
        if both:
            raise InputError(
                f"{path}: segment {segment.name!r} shares {both} voxels with others; a label map holds one label a "
                f"voxel. Take one segment: {path.name}#{segment.name}"
            )
    return smallest_unsigned(labels)
