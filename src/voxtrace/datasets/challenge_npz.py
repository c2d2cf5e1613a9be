"""The challenges' npz: image (imgs) and reference (gts) in one file, 2D or 3D, the modality in the name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from voxtrace.datasets.found import Asked, Draft, Found
from voxtrace.datasets.naming import finished, modality_of
from voxtrace.errors import InputError

LOOKED_FOR = ".npz files with imgs and gts, at any depth (2DBox_CT_0001.npz, MR_Liver_7.npz)"
OBJECTS = ("microscopy",)  # in the challenges' files of this modality each cell has its own number


def recognises(path: Path) -> bool:
    """Whether the file, or the first npz below the folder, holds image and reference."""
    first = path if path.is_file() else next(iter(sorted(path.rglob("*.npz"))), None)
    return first is not None and first.suffix == ".npz" and {"imgs", "gts"} <= members(first)


def find(path: Path, asked: Asked) -> Found:
    """A case for every npz with imgs and gts; a set is a folder. The split is not in the files."""
    root = path if path.is_dir() else path.parent
    files = sorted(root.rglob("*.npz")) if path.is_dir() else [path]
    whole = [file for file in files if {"imgs", "gts"} <= members(file)]
    notes = [f"{file} is left out: it lacks imgs or gts" for file in files if file not in set(whole)]
    return Found(finished([_draft(file, root) for file in whole], root, asked, notes), "npz", notes)


def members(file: Path) -> set[str]:
    """Names of the arrays in an npz. Raises InputError."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{file} is no .npz that can be read: {error}") from None


def _draft(file: Path, root: Path) -> Draft:
    flat = {"2D": "image", "3D": "volume"}.get(file.stem[:2].upper())  # else the shape decides
    below = file.parent.relative_to(root)
    modality = modality_of(file.stem, *reversed(below.parts))
    name = (below / file.stem).as_posix()
    own = below.parts[-1] if below.parts else None
    return Draft(
        name if own is None else file.stem,
        file,
        file,
        kind=flat,
        modality=modality,
        set=own,
        label_type="instance" if modality in OBJECTS else None,
    )
