"""Which reader a file or folder gets: by its content, not its name."""

from __future__ import annotations

import difflib
import errno
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from voxtrace.errors import GeometryError, InputError, VoxtraceError
from voxtrace.io import dicom_series, meta_image, nifti, npz, nrrd, picture, video
from voxtrace.io.labels import as_labels
from voxtrace.volume import Picture, Video, Volume

Scan = Volume | Picture | Video
HEAD_BYTES = 1024
GZIP_MAGIC = b"\x1f\x8b"
MODALITIES = {"PET": "PT", "MRI": "MR", "ULTRASOUND": "US"}  # what people write -> what DICOM writes


@dataclass(frozen=True, slots=True)
class Reader:
    """A format: how its files begin, how they are read, whether they know where the voxels lie in the patient."""

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    read: Callable[[Path, str | None], Scan]
    knows_place: bool = False


READERS = (  # DICOM first: its preamble may be the beginning of a TIFF
    Reader("DICOM", dicom_series.SUFFIXES, dicom_series.recognises, dicom_series.read, knows_place=True),
    Reader("NIfTI", nifti.SUFFIXES, nifti.recognises, nifti.read, knows_place=True),
    Reader("NRRD", nrrd.SUFFIXES, nrrd.recognises, nrrd.read, knows_place=True),
    Reader("MetaImage", meta_image.SUFFIXES, meta_image.recognises, meta_image.read, knows_place=True),
    Reader("picture", picture.SUFFIXES, picture.recognises, picture.read),
    Reader("TIFF", picture.TIFF_SUFFIXES, picture.recognises_tiff, picture.read_tiff),
    Reader("video", video.SUFFIXES, video.recognises, video.read),
    Reader("npz", npz.SUFFIXES, npz.recognises, npz.read),
)


def read(path: str | Path, *, modality: str | None = None) -> Scan:
    """Read a file, or a folder of DICOM slices or of equally large pictures; path#select takes one of several.

    modality ("CT", "MR", "PT", ...) says what the file does not. Arrays keep the file's own voxel order.
    Raises InputError for whatever cannot be read, GeometryError for a series that makes no regular stack.
    """
    place, select = _split(path)
    scan = _guarded(place, select)
    if modality is None:
        return scan
    return replace(scan, modality=MODALITIES.get(modality.upper(), modality.upper()))


def read_volume(path: str | Path, *, modality: str | None = None) -> Volume:
    """`read`, where only a Volume will do; InputError says what else it is."""
    scan = read(path, modality=modality)
    if not isinstance(scan, Volume):
        raise InputError(f"{path} is a {type(scan).__name__.lower()} of shape {scan.shape}; a volume is needed here")
    return scan


def read_mask(path: str | Path, like: Scan | None = None) -> np.ndarray:
    """Labels (0 is background) in the smallest unsigned type: (D, H, W), or (H, W) where file or `like` is a Picture.

    With `like` the mask must lie on the scan's voxels: GeometryError says what differs. Only the shape is compared
    where the file does not say its place. A folder of label PNGs fits a Video: each by its frame's stem, frames without
    one are empty.
    """
    place, select = _split(path)
    if place.is_dir() and isinstance(like, Video):
        return _mask_frames(place, like)
    mask, placed = _labels(place, select)
    if like is not None:
        mask = _flattened(mask, like)
        _require_same(place, mask, placed, like)
    return mask


def read_labels(path: str | Path) -> dict[int, str]:
    """{label: name} of a mask file, in the numbers of `read_mask`; {} where the format keeps no names."""
    place, _ = _split(path)
    reader = _reader(place)
    return nrrd.read_names(place) if reader.read is nrrd.read else {}


def stems(video: Video) -> list[str]:
    """The name of each frame without suffix: its file's in a folder, else its number, 00000 first."""
    paths = getattr(video.frames, "paths", None)
    return [p.stem for p in paths] if paths is not None else [f"{i:05d}" for i in range(video.shape[0])]


def _split(path: str | Path) -> tuple[Path, str | None]:
    """path#select -> (path, select); a path that exists with its # is taken as it is."""
    place = Path(path).expanduser()
    if place.exists() or "#" not in place.name:
        return place, None
    name, _, select = place.name.rpartition("#")
    return place.with_name(name) if name else place, select


def _guarded(place: Path, select: str | None) -> Scan:
    """Read, and turn whatever a decoder raises into an InputError that names the file."""
    try:
        if not place.exists():
            raise InputError(_missing(place))
        if place.is_dir():
            return _read_folder(place, select)
        return _reader(place).read(place, select)
    except VoxtraceError:
        raise
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP):
            raise InputError(f"{place} cannot be opened: {error.strerror}") from error
        raise InputError(_damaged(place, error)) from error
    except MemoryError as error:
        raise InputError(f"{place} does not fit into memory, or its header is damaged: {error}") from error
    except Exception as error:  # decoders of damaged files raise every kind
        raise InputError(_damaged(place, error)) from error


def _damaged(place: Path, error: Exception) -> str:
    return f"{place} is cut off or damaged, or not what its name says: {type(error).__name__}: {error}"


def _missing(place: Path) -> str:
    parent = place.parent
    if not parent.is_dir():
        return f"{place} does not exist: there is no folder {parent}"
    names = [entry.name for entry in parent.iterdir()]
    near = difflib.get_close_matches(place.name, names, n=3, cutoff=0.6)
    return f"{place} does not exist" + (f"; did you mean {' or '.join(near)}?" if near else "")


def _reader(place: Path) -> Reader:
    if place.stat().st_size == 0:
        raise InputError(f"{place} is empty (0 bytes); was it copied completely?")
    head = _head(place)
    for reader in READERS:
        if reader.recognises(head):
            return reader
    named = next((r for r in READERS if place.name.lower().endswith(r.suffixes)), None)
    if named is not None:
        raise InputError(f"{place} is named like {named.name}, but its content is not: it begins with {head[:16]!r}")
    suffixes = " ".join(suffix for reader in READERS for suffix in reader.suffixes)
    raise InputError(f"{place} is no image that can be read here ({suffixes}); it begins with {head[:16]!r}")


def _head(place: Path) -> bytes:
    """The first bytes, unpacked if they are gzipped; what a damaged gzip gives, if little."""
    with place.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(31).decompress(head, HEAD_BYTES) or head
    except zlib.error:
        return head


def _read_folder(folder: Path, select: str | None) -> Scan:
    if dicom_series.holds_dicom(folder):
        return dicom_series.read_series(folder, select)
    if picture.pictures_in(folder):
        return video.read_folder(folder, select)
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    if not entries:
        raise InputError(f"{folder} is an empty folder")
    known = [e.name for e in entries if e.is_file() and any(e.name.lower().endswith(r.suffixes) for r in READERS)]
    hint = f"give one of its files: {', '.join(known[:5])}" if known else f"it holds {entries[0].name}, ..."
    raise InputError(f"{folder} holds neither DICOM slices nor pictures; {hint}")


def _labels(place: Path, select: str | None) -> tuple[np.ndarray, Volume | None]:
    """The labels, and the volume they came in if its file knows its place in the patient."""
    if place.is_file() and place.stat().st_size:
        head = _head(place)
        try:
            if picture.recognises(head):
                return as_labels(picture.read_labels(place), place), None
            if npz.recognises(head):
                return as_labels(npz.read_mask(place), place), None
        except VoxtraceError:
            raise
        except Exception as error:
            raise InputError(_damaged(place, error)) from error
    scan = _guarded(place, select)
    if isinstance(scan, Video):
        raise InputError(f"{place} is a video; a mask of a video is a folder of label PNGs, given with the video")
    if isinstance(scan, Picture):
        return as_labels(picture.grey_labels(scan.pixels, place), place), None
    knows_place = place.is_dir() or _reader(place).knows_place
    return as_labels(scan.array, place), scan if knows_place else None


def _flattened(mask: np.ndarray, like: Scan) -> np.ndarray:
    """(1, H, W) for a Picture becomes (H, W), and the other way round for a one-slice volume."""
    if isinstance(like, Picture) and mask.ndim == 3 and len(mask) == 1:
        return mask[0]
    return mask[None] if not isinstance(like, Picture) and mask.ndim == 2 and like.shape[0] == 1 else mask


def _require_same(place: Path, mask: np.ndarray, placed: Volume | None, like: Scan) -> None:
    if mask.shape != like.shape:
        hint = " (its axes are in another order)" if sorted(mask.shape) == sorted(like.shape) else ""
        raise GeometryError(f"the mask {place} has shape {mask.shape}, the scan {like.shape}{hint}")
    if placed is None or not isinstance(like, Volume) or like.same_geometry(placed):
        return
    differences = [
        f"{name} {_shown(own)} instead of {_shown(other)}"
        for name, own, other in (
            ("spacing (z, y, x)", placed.spacing_mm, like.spacing_mm),
            ("origin", placed.affine_lps[:3, 3], like.affine_lps[:3, 3]),
            ("axes", _directions(placed), _directions(like)),
        )
        if not np.allclose(own, other, atol=1e-3)
    ]
    raise GeometryError(
        f"the mask {place} does not lie where the scan lies: {'; '.join(differences) or 'corners differ'} (LPS mm). "
        "Resample it onto the scan, or save it with the scan's geometry"
    )


def _directions(volume: Volume) -> np.ndarray:
    return np.asarray(volume.affine_lps[:3, :3] / np.array(volume.spacing_mm[::-1])).ravel()


def _shown(values: np.ndarray | tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def _mask_frames(folder: Path, like: Video) -> np.ndarray:
    """(D, H, W) labels of a folder with one PNG a frame, matched by stem."""
    found = {path.stem: path for path in picture.pictures_in(folder)}
    matched = [(index, found[stem]) for index, stem in enumerate(stems(like)) if stem in found]
    if not matched:
        raise InputError(f"{folder} holds no mask named like a frame, as {stems(like)[0]}.png")
    frames = np.zeros(like.shape, np.uint32)
    for index, path in matched:
        mask, _ = _labels(path, None)
        if mask.shape != like.shape[1:]:
            raise GeometryError(f"the mask {path} has shape {mask.shape}, the video's frames {like.shape[1:]}")
        frames[index] = mask
    return as_labels(frames, folder)
