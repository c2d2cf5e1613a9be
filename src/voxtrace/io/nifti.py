"""NIfTI (.nii, .nii.gz, .hdr with .img). The only place where its RAS becomes LPS and (x, y, z) becomes (z, y, x)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtrace.errors import InputError
from voxtrace.io.choice import choose
from voxtrace.io.labels import label_slabs, label_type, top_label
from voxtrace.io.large import converted, is_large, unpacked
from voxtrace.lazily import Lazily
from voxtrace.mapped import map_file
from voxtrace.volume import Volume

if TYPE_CHECKING:
    import nibabel
else:
    nibabel = Lazily("nibabel")

SUFFIXES = (".nii", ".nii.gz", ".hdr")
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MAGIC = (b"n+1\0", b"ni1\0"), (b"n+2\0", b"ni2\0")
SAME_AFFINE = 1e-3
FORM_FIELDS = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)


def recognises(head: bytes) -> bool:
    """Whether a file begins as NIfTI-1 or NIfTI-2 (after gunzip)."""
    return head[344:348] in MAGIC[0] or head[4:8] in MAGIC[1]


def read(path: Path, select: str | None = None) -> Volume:
    """One volume of the file; `select` is its index along the fourth axis, counted from 0.

    Whole numbers keep their type; scl_slope and scl_inter give float32. The affine is the file's sform, else its qform,
    else its spacing with the origin at 0. NIfTI does not say a modality. A large volume is mapped: read when used.
    """
    image = _opened(path)
    if not isinstance(image, nibabel.Nifti1Pair):
        raise InputError(
            f"{path} is {type(image).__name__}, not NIfTI; convert it, for example with nibabel or ITK-SNAP"
        )
    stored = image.get_data_dtype()
    if stored.names:
        raise InputError(
            f"{path} holds colour ({'/'.join(stored.names)}), not one number a voxel; save it as grey first"
        )
    if stored.kind == "c":
        raise InputError(f"{path} holds complex numbers; save their magnitude first")
    chosen, index = _choose(path, image.shape, select)
    if is_large(image.shape[:3], stored) and len(image.shape) > 2 and image.file_map["image"].filename:
        return Volume(_large(path, image, index), RAS_TO_LPS @ _affine_ras(image), None, path)
    array = np.asarray(image.dataobj[chosen])
    if array.dtype.kind == "f" and array.dtype.itemsize > 4 and stored.kind != "f":
        array = array.astype(np.float32)
    array = array.reshape((*array.shape, 1)) if array.ndim == 2 else array
    return Volume(np.ascontiguousarray(array.T), RAS_TO_LPS @ _affine_ras(image), None, path)


def write(path: Path, mask: np.ndarray, like: Volume) -> None:
    """(D, H, W) labels as NIfTI-1. If `like` came from NIfTI, its qform and sform are kept to the bit."""
    dtype = label_type(mask)
    nothing = np.broadcast_to(dtype.type(0), mask.shape[::-1])  # for nibabel's header; the labels follow in parts
    source = _source_header(like)
    if source is None:
        affine_ras = RAS_TO_LPS @ like.affine_lps
        image = nibabel.Nifti1Image(nothing, affine_ras)
        image.set_sform(affine_ras, code=1)
        image.set_qform(affine_ras, code=1, strip_shears=True)
        image.header.set_xyzt_units("mm")
    else:
        image = nibabel.Nifti1Image(nothing, None)
        for name in FORM_FIELDS:
            image.header[name] = source[name]
        image.header["pixdim"][:4] = source["pixdim"][:4]
    image.header["cal_max"] = top_label(mask)
    image.update_header()
    image.header.set_slope_inter(1, 0)
    with _created(path) as file:
        image.header.write_to(file)
        file.write(bytes(image.header.get_data_offset() - file.tell()))
        for part in label_slabs(mask, dtype):
            file.write(part.data)


@contextmanager
def _created(path: Path) -> Iterator[Any]:
    """The file to be written, packed if its name says so, without a name or a time in it."""
    with path.open("wb") as file:
        if not path.name.lower().endswith(".gz"):
            yield file
            return
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
            yield packed


def _opened(path: Path) -> Any:
    """The image by its content: also where the name lacks or lies about .nii and .gz, which nibabel relies on."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    name = path.name.lower()
    if name.endswith(SUFFIXES) and packed == name.endswith(".gz"):
        return nibabel.load(path)
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    kind = nibabel.Nifti2Image if data[4:8] in MAGIC[1] else nibabel.Nifti1Image
    return kind.from_bytes(data)


def _large(path: Path, image: Any, index: int) -> np.ndarray:
    """(z, y, x) voxels of the `index`-th volume, mapped; scaled ones from a scratch file."""
    proxy, stored, shape = image.dataobj, image.get_data_dtype(), tuple(int(n) for n in image.shape[2::-1])
    file = Path(image.file_map["image"].filename)
    at = int(proxy.offset) + index * int(np.prod(shape, dtype=np.int64)) * stored.itemsize
    if file.name.lower().endswith(".gz"):
        with gzip.open(file) as packed:
            array = unpacked(path, packed.read, shape, stored, skip=at)
    else:
        array = map_file(file, stored, shape, at)
    slope, inter = np.asanyarray(proxy.slope), np.asanyarray(proxy.inter)
    if (slope, inter) == (1, 0):
        return array

    def scale(part: np.ndarray) -> np.ndarray:
        scaled = nibabel.volumeutils.apply_read_scaling(part, slope, inter)
        return scaled if stored.kind == "f" or scaled.dtype.itemsize <= 4 else scaled.astype(np.float32)

    return converted(array, scale(array[:1, :1, :1]).dtype, scale)


def _choose(path: Path, shape: tuple[int, ...], select: str | None) -> tuple[tuple[slice | int, ...], int]:
    """The indices of one volume in a file of `shape` (x, y, z, t, ...), and which one it is."""
    if len(shape) < 2 or min(shape) < 1:
        raise InputError(f"{path} has shape {shape}; a scan has at least two axes, none of them empty")
    extra = shape[3:]
    index = choose(path, int(np.prod(extra)), select, f"has {len(shape)} axes (x, y, z, ...) = {shape}")
    rest = np.unravel_index(index, extra, order="F") if extra else ()
    return (*(slice(None) for _ in shape[:3]), *(int(place) for place in rest)), index


def _affine_ras(image: nibabel.Nifti1Pair) -> np.ndarray:
    header = image.header
    if header["sform_code"] > 0 or header["qform_code"] > 0:
        return np.asarray(image.affine, np.float64)
    # Without a form nibabel centres the scan and mirrors x; ITK counts from the first voxel in LPS, and so do we.
    spacing = [float(value) if value > 0 else 1.0 for value in header["pixdim"][1:4]]
    return RAS_TO_LPS @ np.diag([*spacing, 1.0])


def _source_header(like: Volume) -> nibabel.Nifti1Header | None:
    """The header of the scan's own file, if that is NIfTI, still there and of the geometry of `like`.

    With its forms every program lays the mask where it lays the scan, also those that prefer the other form.
    """
    source = like.source
    if source is None or not source.is_file() or not source.name.lower().endswith(SUFFIXES):
        return None
    try:
        image = nibabel.load(source)
    except Exception:  # a scan that cannot be read any more only costs the exactness
        return None
    if not isinstance(image, nibabel.Nifti1Pair) or image.shape[:3] != like.shape[::-1]:
        return None
    same = np.abs(RAS_TO_LPS @ _affine_ras(image) - like.affine_lps).max() < SAME_AFFINE
    return image.header if same else None
