"""MetaImage (.mha, .mhd with its raw file), ITK's own format: a text header, then the voxels. Read here without ITK."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from voxtrace.errors import GeometryError, InputError, OutputError
from voxtrace.io.choice import choose
from voxtrace.io.labels import label_slabs, label_type
from voxtrace.io.large import PIECE, in_native_order, is_large, unpacked, unzipped
from voxtrace.mapped import map_file
from voxtrace.scratch import Spill
from voxtrace.volume import Volume

SUFFIXES = (".mha", ".mhd")
TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
NAMES = {"u1": "MET_UCHAR", "u2": "MET_USHORT", "u4": "MET_UINT"}
HEADER_BYTES = 1 << 16


def recognises(head: bytes) -> bool:
    """Whether a file begins as a MetaImage header."""
    start = head[:256].replace(b" ", b"")
    return start.startswith((b"ObjectType=Image", b"NDims=")) or (
        b"\nNDims=" in start and start.startswith(b"Comment=")
    )


def read(path: Path, select: str | None = None) -> Volume:
    """One volume; `select` is its index along the fourth axis. MetaImage keeps LPS, as we do."""
    header, voxels_at = _header(path)
    size = [int(n) for n in header["DimSize"].split()]
    channels = int(header.get("ElementNumberOfChannels", "1"))
    if channels != 1:
        raise InputError(f"{path} holds {channels} numbers a voxel (colour or vectors), not one")
    array = _voxels(path, header, voxels_at, size)
    return Volume(_choose(path, array, select), _affine(path, header, len(size)), None, path)


def write(path: Path, mask: np.ndarray, like: Volume) -> None:
    """(D, H, W) labels as compressed .mha. Refuses a sheared geometry, which the format cannot say."""
    if path.suffix.lower() == ".mhd":
        raise OutputError(f"{path.name}: a .mhd is two files; write .mha, which is the same in one")
    directions = like.affine_lps[:3, :3] / np.array(like.spacing_mm[::-1])
    if np.abs(directions.T @ directions - np.eye(3)).max() > 1e-3:
        raise OutputError(f"{path.name}: the scan's axes are not at right angles (a tilted gantry?), which MetaImage "
                          "cannot say; write .nrrd or .nii.gz")  # fmt: skip
    dtype = label_type(mask)
    packed, size = _packed(mask, dtype)  # its size comes before it
    with path.open("wb") as file:
        file.write(_text(mask.shape, dtype, size, directions, like).encode("ascii"))
        for place in range(0, size, PIECE):
            file.write(packed.get(place, (min(PIECE, size - place),), np.uint8).data)


def _packed(mask: np.ndarray, dtype: np.dtype) -> tuple[Spill, int]:
    """The deflated labels and how many bytes they are."""
    packer, spill, size = zlib.compressobj(6), Spill(), 0
    for part in label_slabs(mask, dtype):
        size += spill.add(packer.compress(part.data))
    return spill, size + spill.add(packer.flush())


def _text(shape: tuple[int, ...], dtype: np.dtype, packed_size: int, directions: np.ndarray, like: Volume) -> str:
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(packed_size),
        "TransformMatrix": _numbers(directions.T.ravel()),
        "Offset": _numbers(like.affine_lps[:3, 3]),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": _numbers(like.spacing_mm[::-1]),
        "DimSize": _numbers(shape[::-1]),
        "ElementType": NAMES[dtype.str[1:]],
        "ElementDataFile": "LOCAL",
    }
    return "".join(f"{name} = {value}\n" for name, value in fields.items())


def _numbers(values: np.ndarray | tuple[float, ...]) -> str:
    return " ".join(f"{value:.17g}" for value in values)


def _header(path: Path) -> tuple[dict[str, str], int]:
    """The fields, and where LOCAL voxels begin: after the line ElementDataFile, which is always the last."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    fields, at = {}, 0
    while at < len(head):
        end = head.find(b"\n", at)
        end = len(head) if end < 0 else end
        name, separator, value = head[at:end].decode("latin-1").partition("=")
        if not separator:
            break
        fields[name.strip()] = value.strip()
        at = end + 1
        if name.strip() == "ElementDataFile":
            missing = [field for field in ("DimSize", "ElementType") if field not in fields]
            if missing:
                raise InputError(f"{path} has no {' and no '.join(missing)} in its header")
            return fields, at
    raise InputError(f"{path} has a MetaImage header without ElementDataFile: it is cut off or damaged")


def _voxels(path: Path, header: dict[str, str], voxels_at: int, size: list[int]) -> np.ndarray:
    """All voxels, (..., z, y, x) in this machine's byte order."""
    if header["ElementType"] not in TYPES:
        raise InputError(f"{path} holds {header['ElementType']}; known are {', '.join(TYPES)}")
    if header.get("BinaryData", "True").lower() != "true":
        raise InputError(f"{path} keeps its voxels as text; save it with binary data")
    big = header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "False")).lower() == "true"
    dtype = np.dtype((">" if big else "<") + TYPES[header["ElementType"]])
    wanted = int(np.prod(size)) * dtype.itemsize
    if is_large(tuple(size), dtype):
        return in_native_order(_large(path, header, voxels_at, tuple(size[::-1]), dtype))
    data = _bytes(path, header, voxels_at, wanted)
    if header.get("CompressedData", "False").lower() == "true":
        data = zlib.decompress(data)
    if len(data) < wanted:
        raise InputError(f"{path} is cut off: {wanted} bytes of voxels are promised, {len(data)} are there")
    array = np.frombuffer(data, dtype, count=wanted // dtype.itemsize).reshape(size[::-1])
    return array.astype(dtype.newbyteorder("="))


def _large(path: Path, header: dict[str, str], voxels_at: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Mapped, or unpacked into a scratch file; in the file's byte order."""
    raw, skip = _place(path, header, voxels_at)
    if header.get("CompressedData", "False").lower() == "true":
        with raw.open("rb") as file:
            file.seek(max(skip, 0))
            return unpacked(path, unzipped(file), shape, dtype)
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return map_file(raw, dtype, shape, max(0, raw.stat().st_size - wanted) if skip < 0 else skip)


def _bytes(path: Path, header: dict[str, str], voxels_at: int, wanted: int) -> bytes:
    raw, skip = _place(path, header, voxels_at)
    data = raw.read_bytes()
    return data[len(data) - wanted if skip < 0 else skip :]


def _place(path: Path, header: dict[str, str], voxels_at: int) -> tuple[Path, int]:
    """The file with the voxels and how many bytes come before them; negative where they are the last of the file."""
    name = header["ElementDataFile"]
    if name.upper() == "LIST" or "%" in name:
        raise InputError(f"{path} keeps its slices in many files ({name}); save it as one .mha")
    if name.upper() == "LOCAL":
        return path, voxels_at
    raw = path.parent / name
    if not raw.is_file():
        raise InputError(f"{path} keeps its voxels in {name}, which is not beside it")
    return raw, int(header.get("HeaderSize", "0"))


def _affine(path: Path, header: dict[str, str], dimensions: int) -> np.ndarray:
    def numbers(default: str, *names: str) -> np.ndarray:
        text = next((header[name] for name in names if name in header), default)
        return np.array([float(part) for part in text.split()])

    eye = " ".join(str(v) for v in np.eye(dimensions).ravel())
    matrix = numbers(eye, "TransformMatrix", "Orientation", "Rotation")
    spacing = numbers(" ".join(["1"] * dimensions), "ElementSpacing", "ElementSize")
    origin = numbers(" ".join(["0"] * dimensions), "Offset", "Position", "Origin")
    if matrix.size != dimensions**2 or spacing.size != dimensions or origin.size != dimensions:
        raise GeometryError(f"{path}: spacing, offset or matrix do not have the {dimensions} axes of the image")
    kept = min(dimensions, 3)
    affine = np.eye(4)
    affine[:kept, :kept] = (matrix.reshape(dimensions, dimensions).T * spacing)[:kept, :kept]
    affine[:kept, 3] = origin[:kept]
    return affine


def _choose(path: Path, array: np.ndarray, select: str | None) -> np.ndarray:
    """(t, z, y, x), (z, y, x) or (y, x) -> (z, y, x)."""
    volumes = array.reshape((-1, *(array.shape[-3:] if array.ndim >= 3 else (1, *array.shape))))
    return volumes[choose(path, len(volumes), select, f"has {array.ndim} axes")]
