"""The challenges' npz: image (imgs) and reference (gts) in one file, 2D or 3D, the modality in the name."""

from __future__ import annotations

import zipfile
from itertools import islice
from pathlib import Path

from voxtrace.datasets.drafting import finished
from voxtrace.datasets.found import Asked, Draft, Found
from voxtrace.datasets.modalities import modality_of

LOOKED_FOR = ".npz files with imgs and gts, at any depth (2DBox_CT_0001.npz, MR_Liver_7.npz)"
BOTH = {"imgs", "gts"}
LOOKED_AT = 20
OBJECTS = ("microscopy",)  # in the challenges' files of this modality each cell has its own number


def recognises(path: Path) -> bool:
    """Whether the file, or one of the first npz below the folder, holds image and reference."""
    files = [path] if path.is_file() else islice(path.rglob("*.npz"), LOOKED_AT)
    return any(file.suffix == ".npz" and members(file) >= BOTH for file in files)


def find(path: Path, asked: Asked) -> Found:
    """A case for every npz with imgs and gts; a set is a folder. The split is not in the files."""
    root = path if path.is_dir() else path.parent
    files = sorted(root.rglob("*.npz")) if path.is_dir() else [path]
    whole = [file for file in files if members(file) >= BOTH]
    if lacking := sorted(set(files) - set(whole)):
        notes = [f"{len(lacking)} files are left out, they lack imgs or gts or are damaged ({lacking[0].name})"]
    else:
        notes = []
    return Found(finished([_draft(file, root) for file in whole], root, asked, notes), "npz", notes)


def members(file: Path) -> set[str]:
    """Names of the arrays in an npz; none of a file that cannot be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        return set()


def _draft(file: Path, root: Path) -> Draft:
    flat = {"2D": "image", "3D": "volume"}.get(file.stem[:2].upper())  # else the shape decides
    below = file.parent.relative_to(root)
    modality = modality_of(*reversed(below.parts), channel=file.stem)
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
