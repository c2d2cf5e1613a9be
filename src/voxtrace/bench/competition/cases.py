"""The competition's cases: a dozen small challenge files from labelled cases, references apart.

The middle case of each of twelve sets, and of it no more than a laptop needs a second or two for: pictures thinned to
256 pixels, volumes to 128 by 128 and twelve slices around the object. Thinned means every n-th pixel, so that image and
reference stay the same pixels. The files are equal to the last byte wherever they are made: runs know their cases by
hashes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxtrace.bench.truths import chosen
from voxtrace.errors import CaseMissingError, OutputError
from voxtrace.frames import PictureFrames
from voxtrace.io import read, read_mask
from voxtrace.manifest import Case, read_manifest, select
from voxtrace.volume import Picture, Volume
from voxtrace.windowing import automatic

SETS = {
    "dermoscopy__isic2017": "Dermoscopy",
    "endoscopy__kvasir_polyp": "Endoscopy",
    "fundus__drishti_disc_cup": "Fundus",
    "histo__aidpath_glomeruli": "Histology",
    "mammography__cdd_cesm": "Mammography",
    "microscopy__usiigaci_phase": "Microscopy",
    "us__busi_breast": "US",
    "xray__jsrt_chest": "XRay",
    "ct__lesions_medsam2": "CT",
    "mr__hippocampus_msd": "MR",
    "mr__prostate_promise12": "MR",
    "pet__sts_sarcoma": "PET",
}
OBJECTS = 4  # of a case
LEAST = 50  # voxels of an object: of small ones little is left in a thinned picture
PICTURE, SLICE, SLICES = 256, 128, 12  # pixels of the longer side; slices of a volume
_MADE = (1980, 1, 1, 0, 0, 0)  # the time that is written into every file


@dataclass(frozen=True, slots=True)
class Made:
    """A case of the competition. source: the labelled case it was made from; objects: how many are asked for."""

    name: str
    source: str
    objects: int


def make_cases(data: Path, cases: Path, truth: Path, sets: Sequence[str] = tuple(SETS)) -> list[Made]:
    """Write the npz files of one case of each set into `cases`, those with gts under the same names into `truth`.

    data: a manifest or the folder that holds it. Raises CaseMissingError if a set has no case in its split val, or
    that one no object to be asked for.
    """
    known = read_manifest(data if data.suffix == ".jsonl" else data / "manifest.jsonl")
    for folder in (cases, truth):
        folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, name in enumerate(sets, 1):
        own = [case for case in select(known, split="val", sets=[name]) if case.kind != "video"]
        if not own:
            raise CaseMissingError(f"{name} has no picture and no volume in the split val of {data}")
        case = own[len(own) // 2]
        arrays, labels = _volume(case) if case.kind == "volume" else _picture(case)
        if not labels.any():
            raise CaseMissingError(f"{case.id} has no object of {LEAST} voxels or more to be asked for")
        file = f"{'3D' if case.kind == 'volume' else '2D'}Box_{SETS.get(name, name)}_{number:04}.npz"
        boxes = _boxes(labels)
        write_npz(cases / file, arrays | {"boxes": boxes})
        write_npz(truth / file, {"gts": labels})
        made.append(Made(file, case.id, len(boxes)))
    return made


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An npz whose bytes depend on the arrays alone; numpy's own holds the time."""
    try:
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", _MADE), content.getvalue())
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None


def _picture(case: Case) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """imgs (H, W, 3) uint8, and labels (H, W)."""
    scan = read(case.image_path)
    assert isinstance(scan, Picture)
    labels = read_mask(case.mask_path, like=scan)
    step = _step(labels.shape, PICTURE)
    return {"imgs": PictureFrames(scan)[0][::step, ::step]}, _renumbered(labels[::step, ::step])


def _volume(case: Case) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """imgs (D, H, W) uint8 in the window of the whole scan, spacing (x, y, z) mm, and labels (D, H, W)."""
    scan = read(case.image_path)
    assert isinstance(scan, Volume)
    labels = read_mask(case.mask_path, like=scan)
    step = _step(labels.shape[1:], SLICE)
    present = np.flatnonzero(labels.any(axis=(1, 2)))
    middle = (int(present[0]) + int(present[-1]) + 1) // 2 if len(present) else 0
    first = min(max(middle - SLICES // 2, 0), max(len(labels) - SLICES, 0))
    part = slice(first, first + SLICES), slice(None, None, step), slice(None, None, step)
    z_mm, y_mm, x_mm = scan.spacing_mm
    spacing = np.array([x_mm * step, y_mm * step, z_mm])
    return {"imgs": automatic(scan).apply(scan.array)[part], "spacing": spacing}, _renumbered(labels[part])


def _step(shape: Sequence[int], most: int) -> int:
    return -(-max(shape) // most)


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """uint8: at most OBJECTS objects as 1..N, by their old numbers; the others are background."""
    values, counts = np.unique(labels, return_counts=True)
    large = np.where(np.isin(labels, values[counts >= LEAST]), labels, 0)
    new = np.zeros(labels.shape, np.uint8)
    for number, label in enumerate(chosen(large, OBJECTS), 1):
        new[labels == label] = number
    return new


def _boxes(labels: np.ndarray) -> np.ndarray:
    """(N, 4) x y x y or (N, 6) x y z x y z int64, the last voxel inside."""
    return np.array([[*low[::-1], *high[::-1]] for low, high in _corners(labels)], np.int64)


def _corners(labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for number in range(1, int(labels.max()) + 1):
        places = np.argwhere(labels == number)
        yield places.min(0), places.max(0)
