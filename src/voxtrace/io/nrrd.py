"""NRRD (.nrrd, .nhdr) and 3D Slicer's segmentations in it (.seg.nrrd): names, label values and layers of segments."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import nrrd
import numpy as np
from nrrd.reader import _determine_datatype as determine_datatype

from voxtrace.errors import GeometryError, InputError
from voxtrace.io.choice import choose
from voxtrace.io.labels import label_slabs, label_type
from voxtrace.io.large import is_large, one_of, unpacked
from voxtrace.io.segments import extents_of, label_values, merged, segment_fields, segments_of
from voxtrace.mapped import map_file
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
    segments = segments_of(header)
    array = np.moveaxis(array, extra, range(len(extra)))
    if segments:
        return Volume(merged(path, array, segments, select), affine, None, path)
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
    segments = segments_of(nrrd.read_header(str(path)))
    return {label: segment.name for label, segment in zip(label_values(segments), segments, strict=True)}


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
    extents = extents_of(mask)
    for index, (value, name) in enumerate(sorted(names.items())):
        header |= segment_fields(index, value, name, extents.get(value))
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


def _header(like: Volume) -> dict[str, Any]:
    return {
        "space": "left-posterior-superior",
        "space directions": like.affine_lps[:3, :3].T,
        "space origin": like.affine_lps[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
    }


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
