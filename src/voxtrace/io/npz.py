"""The challenges' .npz: imgs, spacing (x, y, z), boxes, recist, scribbles in; segs out.

Only plain arrays are opened. An object array is a pickle, and opening a pickle can run anybody's code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from voxtrace import scratch
from voxtrace.errors import GeometryError, InputError
from voxtrace.io.labels import label_slabs, label_type
from voxtrace.io.large import is_large, unpacked
from voxtrace.prompts import Box, Prompt, Recist, Scribble
from voxtrace.volume import Picture, Volume

SUFFIXES = (".npz",)
IMAGE_KEYS, MASK_KEYS = ("imgs",), ("segs", "gts")
IGNORED_SCRIBBLE = 1000
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def recognises(head: bytes) -> bool:
    """Whether a file begins as a zip archive with a numpy array in it."""
    return head.startswith(b"PK\x03\x04") and b".npy" in head[:256]


def read(path: Path, select: str | None = None) -> Volume | Picture:
    """imgs (D, H, W) -> Volume, (H, W) or (H, W, 3) -> Picture; without imgs the mask in segs or gts.

    spacing is (x, y, z) mm; the files keep neither origin nor orientation, so the affine has none.
    (D, H, 3) and (H, W, 3) look alike: a file whose name begins with 3D, or that has a spacing, is a volume.
    """
    with _opened(path) as archive:
        found = [key for key in (*IMAGE_KEYS, *MASK_KEYS) if key in archive.files]
        if not found:
            raise InputError(f"{path} has no imgs, segs or gts; it holds {', '.join(archive.files) or 'nothing'}")
        array = _array(path, archive, found[0])
        spacing = _array(path, archive, "spacing") if "spacing" in archive.files else None
    flat = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] == 3 and spacing is None and not _named_3d(path))
    if flat or (array.ndim == 3 and array.shape[-1] == 3 and path.name.upper().startswith("2D")):
        return Picture(array, None, None, path)
    if array.ndim != 3:
        raise InputError(f"{path}: {found[0]} has shape {array.shape}; (D, H, W), (H, W) or (H, W, 3) is needed")
    return Volume(array, _affine(path, spacing), None, path)


def read_mask(path: Path) -> np.ndarray:
    """segs, or gts, as stored: (D, H, W) or (H, W)."""
    with _opened(path) as archive:
        for key in MASK_KEYS:
            if key in archive.files:
                return _array(path, archive, key)
        raise InputError(f"{path} has no segs or gts; it holds {', '.join(archive.files) or 'nothing'}")


def read_prompts(path: Path) -> dict[int, list[Prompt]]:
    """{object 1..N: prompts} of a challenge file: boxes, RECIST markers, scribbles; {} if it has none.

    boxes (N, 4) x y x y or (N, 6) x y z x y z include their last voxel there; ours are half-open.
    recist and scribbles are label images; scribble values 0 and 1000 are not objects.
    """
    with _opened(path) as archive:
        shape = _array(path, archive, "imgs").shape if "imgs" in archive.files else None
        arrays = {k: _array(path, archive, k) for k in ("boxes", "recist", "scribbles") if k in archive.files}
    prompts: dict[int, list[Prompt]] = {}
    if "boxes" in arrays:
        boxes = np.asarray(arrays["boxes"], float)
        if boxes.ndim != 2 or boxes.shape[1] not in (4, 6):
            raise InputError(f"{path}: boxes have shape {boxes.shape}; (N, 4) or (N, 6) is needed")
        for number, box in enumerate(boxes, 1):
            prompts.setdefault(number, []).append(_box(box, shape))
    for number, marker in _markers(arrays.get("recist")):
        prompts.setdefault(number, []).append(_recist(marker))
    for number, marker in _markers(arrays.get("scribbles")):
        if number != IGNORED_SCRIBBLE:
            prompts.setdefault(number, []).append(Scribble.from_mask(marker))
    return prompts


def write(path: Path, mask: np.ndarray) -> None:
    """Labels under the key segs, as the challenges' evaluators read them."""
    with path.open("wb") as file:
        dtype = label_type(mask)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": mask.shape}
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("segs.npy", "w", force_zip64=True) as member,
        ):
            np.lib.format.write_array_header_1_0(member, header)
            for part in label_slabs(mask, dtype):
                member.write(part.data)


@contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    with np.load(path, allow_pickle=False) as archive:
        yield archive


def _array(path: Path, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        array = _large(path, archive, key)
        array = archive[key] if array is None else array
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise InputError(
            f"{path}: {key} is an object array, that is a pickle, which could run code when opened; it is not. "
            f"Save {key} as a plain array of numbers"
        ) from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: {key} holds {array.dtype}; numbers are needed")
    return array


def _large(path: Path, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray | None:
    """A large plain array unpacked into a scratch file; None for any other, which numpy reads."""
    name = f"{key}.npy"
    sizes = {member.filename: member.file_size for member in archive.zip.infolist()} if archive.zip else {}
    if archive.zip is None or sizes.get(name, 0) <= scratch.IN_MEMORY:
        return None
    with archive.zip.open(name) as member:
        version = np.lib.format.read_magic(member)
        if version not in HEADERS:
            return None
        shape, by_columns, dtype = HEADERS[version](member)
        if by_columns or dtype.hasobject or not is_large(shape, dtype):
            return None
        return unpacked(path, member.read, shape, dtype)


def _named_3d(path: Path) -> bool:
    return path.name.upper().startswith("3D")


def _affine(path: Path, spacing_xyz: np.ndarray | None) -> np.ndarray:
    if spacing_xyz is None:
        return np.eye(4)
    steps = np.asarray(spacing_xyz, float).ravel()
    if steps.size != 3 or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise GeometryError(f"{path}: spacing {steps.tolist()} is not three positive numbers (x, y, z) in mm")
    return np.diag([*steps, 1.0])


def _box(box: np.ndarray, shape: tuple[int, ...] | None) -> Box:
    """Inclusive (x, y[, z], x, y[, z]) -> half-open zyx; the last voxel is added but not beyond the image."""
    half = len(box) // 2
    start, stop = box[:half][::-1], box[half:][::-1] + 1
    if shape is not None:
        stop = np.minimum(stop, shape[:half])
    if half == 2:
        return Box.on_slice(0, *start.tolist(), *stop.tolist())
    return Box(*start.tolist(), *stop.tolist())


def _markers(labels: np.ndarray | None) -> Iterator[tuple[int, np.ndarray]]:
    if labels is None:
        return
    for value in np.unique(labels[labels > 0]):
        yield int(value), labels == value


def _recist(marker: np.ndarray) -> Recist:
    """The two farthest voxels of a drawn line, on the slice where most of it lies."""
    volume = marker if marker.ndim == 3 else marker[None]
    z = int(volume.sum(axis=(1, 2)).argmax())
    points = np.argwhere(volume[z]).astype(float)
    first = _farthest(points, points.mean(0))  # of a line, the voxel farthest from its middle is an end
    second = _farthest(points, points[first])
    ends = sorted((points[first].tolist(), points[second].tolist()))
    return Recist(z, *ends[0], *ends[1])


def _farthest(points: np.ndarray, place: np.ndarray) -> int:
    return int(np.linalg.norm(points - place, axis=1).argmax())
