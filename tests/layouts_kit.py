"""Small labelled cases written in the layouts that people have them in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from command_line import write_nifti
from phantoms import labels, phantom
from voxtrace.datasets.found import Found
from voxtrace.datasets.opening import Labels, open_labels, open_scan
from voxtrace.manifest import Case
from voxtrace.volume import Volume

SHAPE = (8, 20, 24)
NAMES = ["a_01", "a_02", "a_03", "a_04", "a_05"]  # of five cases


def write_pair(image: Path, mask: Path, *, seed: int = 0, truth: np.ndarray | None = None, **changes: Any) -> None:
    """A CT phantom and its two labels as NIfTI; `changes` are options of the phantom."""
    scan = phantom(SHAPE, seed=seed, **changes)
    image.parent.mkdir(parents=True, exist_ok=True)
    mask.parent.mkdir(parents=True, exist_ok=True)
    write_nifti(image, scan)
    write_nifti(mask, Volume(labels(SHAPE) if truth is None else truth, scan.affine_lps))


def write_nnunet(folder: Path, names: Sequence[str], channels: Sequence[str] = ("CT",), **about: Any) -> Path:
    """An nnU-Net raw folder of phantoms with labels lesion 1 and block 2."""
    for seed, name in enumerate(names):
        for number in range(len(channels)):
            image = folder / "imagesTr" / f"{name}_{number:04d}.nii.gz"
            write_pair(image, folder / "labelsTr" / f"{name}.nii.gz", seed=10 * number + seed)
    described = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0, "lesion": 1, "block": 2},
        "numTraining": len(names),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(described | about))
    return folder


def write_bids(folder: Path, subjects: Sequence[str], sessions: Sequence[str] = ("",)) -> Path:
    """T1w scans with a dseg in derivatives/manual."""
    for seed, subject in enumerate(subjects):
        for session in sessions:
            below = Path(f"sub-{subject}", *([f"ses-{session}"] if session else []), "anat")
            name = f"sub-{subject}" + (f"_ses-{session}" if session else "")
            mask = folder / "derivatives" / "manual" / below / f"{name}_desc-expert_dseg.nii.gz"
            write_pair(folder / below / f"{name}_T1w.nii.gz", mask, seed=seed + len(session))
    return folder


def picture(seed: int = 0, shape: tuple[int, int] = (40, 50)) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) uint8 noise with two blocks, and their labels 1 and 2."""
    truth = np.zeros(shape, np.uint8)
    truth[8:22, 6:20], truth[24:38, 28:46] = 1, 2
    noise = np.random.default_rng(seed).integers(0, 40, shape)
    return (noise + 80 * truth).astype(np.uint8), truth


def save(path: Path, pixels: np.ndarray) -> Path:
    """A picture file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_pictures(folder: Path, names: Sequence[str], images: str = "images", masks: str = "masks") -> Path:
    """Pictures in two folders, masks with labels 1 and 2."""
    for seed, name in enumerate(names):
        pixels, truth = picture(seed)
        save(folder / images / f"{name}.png", pixels)
        save(folder / masks / f"{name}.png", truth)
    return folder


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    """A challenge file; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def opened(case: Case) -> Labels:
    """Its labels, on its scan."""
    return open_labels(case, open_scan(case))


def names(found: Found, split: str | None = None) -> list[str]:
    """Of the cases found, of one split or all, without the set's."""
    return [case.id.split("/", 1)[1] for case in found.cases if split in (None, case.split)]
