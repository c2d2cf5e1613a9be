"""Masks into files, in the scan's own geometry; whole or not at all, and never over an input."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from voxtrace.errors import OutputError
from voxtrace.io import meta_image, nifti, npz, nrrd, picture
from voxtrace.io.labels import checked_labels
from voxtrace.io.reading import Scan, stems
from voxtrace.mapped import let_go, slabs
from voxtrace.volume import Picture, Video, Volume

FORMATS = ".nii.gz .nii .seg.nrrd .nrrd .mha .npz; for pictures .png .tif .bmp; for videos a folder"
VolumeWriter = Callable[[Path, np.ndarray, Volume], None]
VOLUME_WRITERS: dict[str, VolumeWriter] = {
    ".nii": nifti.write,
    ".nii.gz": nifti.write,
    ".nrrd": nrrd.write,
    ".mha": meta_image.write,
    ".mhd": meta_image.write,
}
PICTURE_SUFFIXES = (".png", ".bmp", *picture.TIFF_SUFFIXES)


def write(
    path: str | Path,
    mask: np.ndarray,
    like: Scan,
    *,
    labels: Mapping[int, str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a label map, (D, H, W) or (H, W) for a Picture, in the geometry of `like`; returns the path written.

    The suffix says the format. A Video's mask without suffix is a folder with one PNG a frame, of the frames' names.
    labels {value: name} are kept by .seg.nrrd; values without a name are called object_N. Other formats keep none.
    An existing file is replaced only with `overwrite`, an input never. Nothing half-written stays behind.
    Raises OutputError.
    """
    mask = checked_labels(mask)
    if mask.shape != like.shape:
        raise OutputError(f"the mask has shape {mask.shape}, the scan {like.shape}; nothing was written")
    path = check_output(path, like, overwrite=overwrite)
    if isinstance(like, Video) and not path.suffix:
        _write_frames(path, mask, like)
        return path
    writer = _writer(path, like)
    with _replacing(path) as temporary:
        writer(temporary, mask, labels or {})
    return path


def check_output(path: str | Path, like: Scan | None = None, *, overwrite: bool = False) -> Path:
    """The path, if a mask of `like` may be written there: ask before the work begins, not after.

    Raises OutputError for an unknown format, an existing file without `overwrite`, and for any input of `like`.
    """
    path = Path(path).expanduser()
    source = None if like is None else like.source
    if source is not None and _is_input(path, source):
        raise OutputError(
            f"{path} is the scan itself{'' if path == source else f' ({source})'}: it would be overwritten. "
            f"Give another name, for example {_other_name(path)}"
        )
    if isinstance(like, Video) and not path.suffix:
        _check_folder(path, like, overwrite)
        return path
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give a file's name in it, for example {path / 'mask.nii.gz'}")
    if like is not None:
        _writer(path, like)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; give another name, or allow it to be overwritten (--overwrite)")
    return path


def _writer(path: Path, like: Scan) -> Callable[[Path, np.ndarray, Mapping[int, str]], None]:
    """How to write a mask of `like` by the path's suffix; OutputError if the format cannot hold it."""
    name = path.name.lower()
    if name.endswith(".npz"):
        return lambda file, mask, _: npz.write(file, mask)
    if name.endswith(PICTURE_SUFFIXES):
        _require_picture(path, like)
        return lambda file, mask, _: picture.write(file, mask)
    if name.endswith(".seg.nrrd"):
        return lambda file, mask, names: nrrd.write_segmentation(
            file, _deep(mask), _volume(like), _names(_deep(mask), names)
        )
    suffix = next((s for s in sorted(VOLUME_WRITERS, key=len, reverse=True) if name.endswith(s)), None)
    if suffix is None:
        why = "JPEG blurs labels" if name.endswith((".jpg", ".jpeg")) else f"masks are not written as {path.suffix!r}"
        raise OutputError(f"{path.name}: {why}; formats are {FORMATS}")
    return lambda file, mask, _: VOLUME_WRITERS[suffix](file, _deep(mask), _volume(like))


def _require_picture(path: Path, like: Scan) -> None:
    if isinstance(like, Picture):
        return
    stack = path.suffix.lower() in picture.TIFF_SUFFIXES
    if isinstance(like, Volume) and stack and np.array_equal(like.affine_lps, np.eye(4)):
        return
    if isinstance(like, Video):
        raise OutputError(f"{path.name}: a video's mask is a folder with one PNG a frame; give a name without suffix")
    raise OutputError(f"{path.name} cannot keep a volume's geometry; write .nii.gz, .seg.nrrd, .nrrd or .mha")


def _volume(like: Scan) -> Volume:
    """A picture or video as a volume of 1 mm slices, so that volume formats can hold its mask."""
    if isinstance(like, Volume):
        return like
    affine = np.eye(4)
    if isinstance(like, Picture) and like.spacing_mm is not None:
        affine = np.diag([like.spacing_mm[1], like.spacing_mm[0], 1.0, 1.0])
    shape = like.shape if isinstance(like, Video) else (1, *like.shape)
    return Volume(np.broadcast_to(np.uint8(0), shape), affine)


def _deep(mask: np.ndarray) -> np.ndarray:
    return mask[None] if mask.ndim == 2 else mask


def _names(mask: np.ndarray, labels: Mapping[int, str]) -> dict[int, str]:
    """A name for every label in the mask, and for those that were named though no voxel has them."""
    values = {int(value) for value in labels}
    for _, part in slabs(mask):
        for frame in part:  # frame by frame: sorting a whole scan takes seconds
            values.update(np.unique(frame).astype(int).tolist())
    return {value: str(labels.get(value, f"object_{value}")) for value in sorted(values - {0})}


def _is_input(path: Path, source: Path) -> bool:
    """Whether writing `path` would touch the scan: the same file by any name or link, or a file in its folder."""
    if not source.exists():
        return False
    if path.exists() and path.samefile(source):
        return True
    return source.is_dir() and path.exists() and source.resolve() in path.resolve().parents


def _other_name(path: Path) -> str:
    stem, dot, rest = path.name.partition(".")
    return f"{stem}_mask{dot}{rest}"


def _check_folder(folder: Path, like: Video, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; a video's mask is a folder with one PNG a frame")
    there = [stem for stem in stems(like) if (folder / f"{stem}.png").exists()]
    if there and not overwrite:
        raise OutputError(
            f"{folder} already holds {len(there)} of the masks, first {there[0]}.png; give another folder, or allow "
            "them to be overwritten (--overwrite)"
        )


def _write_frames(folder: Path, mask: np.ndarray, like: Video) -> None:
    """All PNGs beside the folder first; then they are moved in."""
    with _told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{uuid.uuid4().hex[:8]}.{folder.name}")  # as of a file
        try:
            temporary.mkdir()
            for stem, frame in zip(stems(like), mask, strict=True):
                picture.write(temporary / f"{stem}.png", frame)
                let_go(frame)
            if not folder.exists():
                temporary.replace(folder)
                return
            for file in sorted(temporary.iterdir()):
                file.replace(folder / file.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, of its suffix, that takes its place when all is written, and else is removed."""
    target = path.resolve()
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
    with _told(path):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())  # a disk that is full says so here at the latest
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the system's refusals into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full; free space, or write to another folder"
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = "no permission to write there"
        raise OutputError(f"{path} was not written: {reason}. Nothing was changed") from error
