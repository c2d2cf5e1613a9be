"""The cases of a challenge: npz files. A submission gets a copy without what it must not know."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxtrace.bench.challenge import npy
from voxtrace.errors import CaseMissingError, InputError

SHOWN = ("imgs", "boxes", "spacing", "scribbles", "recist", "text_prompts")  # anything else stays with us
TRUTH = "gts"


@dataclass(frozen=True, slots=True)
class ChallengeCase:
    """name: the file's name, which submissions may rely on (2DBox_CT_0001.npz). truth: the file with gts, if any."""

    name: str
    file: Path
    truth: Path | None

    @property
    def modality(self) -> str:
        """The second word of the name: 3DBox_CT_0566.npz -> CT; "" if it has none."""
        words = self.name.split("_")
        return words[1] if len(words) > 2 else ""


def list_cases(folder: Path, truth: Path | None = None) -> list[ChallengeCase]:
    """The npz files of `folder` by name; references come from files of the same name in `truth`, or their own gts."""
    files = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    if not files:
        raise CaseMissingError(f"{folder} has no case in it; npz files with imgs are needed")
    return [ChallengeCase(file.name, file, _truth_of(file, truth)) for file in files]


def _truth_of(file: Path, truth: Path | None) -> Path | None:
    if truth is not None:
        if not (truth / file.name).is_file():
            raise CaseMissingError(f"there is no reference {truth / file.name} for the case {file}")
        return truth / file.name
    try:
        return file if TRUTH in npy.members(file) else None
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{file} is no npz file: {error}") from None


def write_blind(case: ChallengeCase, folder: Path) -> Path:
    """Copy the case's file to `folder` with only what is SHOWN, arrays as they are stored; returns the copy."""
    target = folder / case.name
    try:
        with zipfile.ZipFile(case.file) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as blind:
            for member in whole.infolist():
                if member.filename.removesuffix(".npy") in SHOWN:
                    blind.writestr(member.filename, whole.read(member), zipfile.ZIP_STORED)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{case.file} cannot be read: {error}") from None
    target.chmod(0o644)
    return target


def mask_shape(case: ChallengeCase) -> tuple[int, ...]:
    """The shape that segs must have: (D, H, W) for volumes, (H, W) for pictures, channels left out.

    Raises InputError if the case has no imgs, or a reference of another shape.
    """
    shape = _header(case.file, "imgs").shape
    flat = len(shape) == 2 or (len(shape) == 3 and shape[-1] in (3, 4) and not case.name.upper().startswith("3D"))
    wanted = shape[:2] if flat or case.name.upper().startswith("2D") else shape
    if case.truth is not None and (found := _header(case.truth, TRUTH).shape) != wanted:
        raise InputError(f"{case.truth}: {TRUTH} has shape {found}, imgs ask for {wanted}")
    return wanted


def spacing_zyx(case: ChallengeCase) -> tuple[float, ...] | None:
    """Millimetres between voxels in array order; the file holds (x, y, z). None where the file has none."""
    if "spacing" not in npy.members(case.file):
        return None
    steps = np.asarray(npy.read_plain(case.file, "spacing"), float).ravel()
    if steps.size != 3 or not (np.isfinite(steps).all() and (steps > 0).all()):
        raise InputError(f"{case.file}: spacing {steps.tolist()} is not three positive numbers (x, y, z) in mm")
    return tuple(steps[::-1].tolist())


def read_truth(case: ChallengeCase) -> np.ndarray | None:
    """The reference labels, None if the case has none."""
    return None if case.truth is None else npy.read_plain(case.truth, TRUTH)


def _header(file: Path, key: str) -> npy.Header:
    try:
        return npy.read_header(file, key)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} has no {key} that can be read: {error}") from None


def content_hash(case: ChallengeCase) -> str:
    """SHA-256 of the case's file and its reference's, first 16 digits."""
    digest = hashlib.sha256()
    for file in dict.fromkeys((case.file, case.truth)):
        digest.update(file.read_bytes() if file else b"")
    return digest.hexdigest()[:16]
