"""Which reader a file or folder gets: by its content, not its name."""

from __future__ import annotations

import difflib
import errno
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from voxtrace.errors import InputError, VoxtraceError
from voxtrace.io import dicom_series, meta_image, nifti, npz, nrrd, picture, video
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
    place, select = split_path(path)
    scan = read_place(place, select)
    if modality is None:
        return scan
    return replace(scan, modality=MODALITIES.get(modality.upper(), modality.upper()))


def read_volume(path: str | Path, *, modality: str | None = None) -> Volume:
    """`read`, where only a Volume will do; InputError says what else it is."""
    scan = read(path, modality=modality)
    if not isinstance(scan, Volume):
        raise InputError(f"{path} is a {type(scan).__name__.lower()} of shape {scan.shape}; a volume is needed here")
    return scan


def stems(video: Video) -> list[str]:
    """The name of each frame without suffix: its file's in a folder, else its number, 00000 first."""
    paths = getattr(video.frames, "paths", None)
    return [p.stem for p in paths] if paths is not None else [f"{i:05d}" for i in range(video.shape[0])]


def split_path(path: str | Path) -> tuple[Path, str | None]:
    """path#select -> (path, select); a path that exists with its # is taken as it is."""
    place = Path(path).expanduser()
    if place.exists() or "#" not in place.name:
        return place, None
    name, _, select = place.name.rpartition("#")
    return place.with_name(name) if name else place, select


def read_place(place: Path, select: str | None) -> Scan:
    """Read, and turn whatever a decoder raises into an InputError that names the file."""
    try:
        if not place.exists():
            raise InputError(_missing(place))
        if place.is_dir():
            return _read_folder(place, select)
        return reader_of(place).read(place, select)
    except VoxtraceError:
        raise
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP):
            raise InputError(f"{place} cannot be opened: {error.strerror}") from error
        raise InputError(damaged(place, error)) from error
    except MemoryError as error:
        raise InputError(f"{place} does not fit into memory, or its header is damaged: {error}") from error
    except Exception as error:  # decoders of damaged files raise every kind
        raise InputError(damaged(place, error)) from error


def damaged(place: Path, error: Exception) -> str:
    """What is told of a file that a decoder could not read."""
    return f"{place} is cut off or damaged, or not what its name says: {type(error).__name__}: {error}"


def _missing(place: Path) -> str:
    parent = place.parent
    if not parent.is_dir():
        return f"{place} does not exist: there is no folder {parent}"
    names = [entry.name for entry in parent.iterdir()]
    near = difflib.get_close_matches(place.name, names, n=3, cutoff=0.6)
    return f"{place} does not exist" + (f"; did you mean {' or '.join(near)}?" if near else "")


def reader_of(place: Path) -> Reader:
    """The format of a file, by its first bytes. Raises InputError where none fits."""
    if place.stat().st_size == 0:
        raise InputError(f"{place} is empty (0 bytes); was it copied completely?")
    head = head_of(place)
    for reader in READERS:
        if reader.recognises(head):
            return reader
    named = next((r for r in READERS if place.name.lower().endswith(r.suffixes)), None)
    if named is not None:
        raise InputError(f"{place} is named like {named.name}, but its content is not: it begins with {head[:16]!r}")
    suffixes = " ".join(suffix for reader in READERS for suffix in reader.suffixes)
    raise InputError(f"{place} is no image that can be read here ({suffixes}); it begins with {head[:16]!r}")


def head_of(place: Path) -> bytes:
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
