"""Masks: labels on a scan's voxels, from a file or from a folder with one picture a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxtrace.errors import GeometryError, InputError, VoxtraceError
from voxtrace.io import npz, nrrd, picture
from voxtrace.io.labels import as_labels
from voxtrace.io.reading import Scan, damaged, head_of, read_place, reader_of, split_path, stems
from voxtrace.mapped import let_go
from voxtrace.scratch import zeros
from voxtrace.volume import Picture, Video, Volume


def read_mask(path: str | Path, like: Scan | None = None) -> np.ndarray:
    """Labels (0 is background) in the smallest unsigned type: (D, H, W), or (H, W) where file or `like` is a Picture.

    With `like` the mask must lie on the scan's voxels: GeometryError says what differs. Only the shape is compared
    where the file does not say its place. A folder of label PNGs fits a Video: each by its frame's stem, frames without
    one are empty.
    """
    place, select = split_path(path)
    if place.is_dir() and isinstance(like, Video):
        return _mask_frames(place, like)
    mask, placed = _labels(place, select)
    if like is not None:
        mask = _flattened(mask, like)
        _require_same(place, mask, placed, like)
    return mask


def read_labels(path: str | Path) -> dict[int, str]:
    """{label: name} of a mask file, in the numbers of `read_mask`; {} where the format keeps no names."""
    place, _ = split_path(path)
    reader = reader_of(place)
    return nrrd.read_names(place) if reader.read is nrrd.read else {}


def _labels(place: Path, select: str | None) -> tuple[np.ndarray, Volume | None]:
    """The labels, and the volume they came in if its file knows its place in the patient."""
    if place.is_file() and place.stat().st_size:
        head = head_of(place)
        try:
            if picture.recognises(head):
                return as_labels(picture.read_labels(place), place), None
            if npz.recognises(head):
                return as_labels(npz.read_mask(place), place), None
        except VoxtraceError:
            raise
        except Exception as error:
            raise InputError(damaged(place, error)) from error
    scan = read_place(place, select)
    if isinstance(scan, Video):
        raise InputError(f"{place} is a video; a mask of a video is a folder of label PNGs, given with the video")
    if isinstance(scan, Picture):
        return as_labels(picture.grey_labels(scan.pixels, place), place), None
    knows_place = place.is_dir() or reader_of(place).knows_place
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
    frames = zeros(like.shape, np.uint32)
    for index, path in matched:
        mask, _ = _labels(path, None)
        if mask.shape != like.shape[1:]:
            raise GeometryError(f"the mask {path} has shape {mask.shape}, the video's frames {like.shape[1:]}")
        frames[index] = mask
        let_go(frames)
    return as_labels(frames, folder)
