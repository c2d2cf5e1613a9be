"""Labelled cases from where they lie: our manifest, a folder of the challenges' .npz, a folder of reference masks."""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxtrace.datasets import find_cases
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.io import read
from voxtrace.manifest import Case, read_manifest
from voxtrace.volume import Picture, Video

log = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"
DOUBLE_ENDINGS = (".nii.gz", ".seg.nrrd", ".ome.tif", ".ome.tiff")


def cases_of(data: Path, references: bool = False) -> list[Case]:
    """All cases of a manifest (or the folder that holds one), a folder of .npz with gts, an .npz, or a folder in any
    layout of `voxtrace.datasets`, split as a training on it would split it.

    references: a folder without any of these is one of masks, each a case without an image: only for masks that were
    made elsewhere. Raises CaseMissingError for a place without cases.
    """
    if data.suffix == ".jsonl":
        return read_manifest(data)
    if (data / MANIFEST).is_file():
        return read_manifest(data / MANIFEST)
    if not data.exists() or not (data.is_dir() or data.suffix == ".npz"):
        raise CaseMissingError(f"there are no cases at {data}; give a .jsonl manifest, or a folder of labelled cases")
    files = [data] if data.is_file() else [path for path in sorted(data.iterdir()) if not path.name.startswith(".")]
    archives = [path for path in files if path.suffix == ".npz"]
    if references and files:
        return [_npz(path) if path in archives and _has_image(path) else _reference(path) for path in files]
    if not archives:
        found = find_cases(data)
        for text in found.notes:
            log.warning("%s", text)
        return found.cases
    return [_npz(path) for path in archives]


def thinned(cases: Sequence[Case], most: int | None) -> list[Case]:
    """At most `most` cases of each set: of more, an even choice in the manifest's order. None: all."""
    by_set: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_set[case.set].append(case)
    kept = []
    for own in by_set.values():
        count = len(own) if most is None else min(most, len(own))
        kept += [own[i] for i in np.linspace(0, len(own) - 1, count).round().astype(int)]
    return kept


def hashes(cases: Sequence[Case]) -> dict[str, str]:
    """{case: sha256 of its image and mask, names and bytes}; "missing" where one is not there."""
    return {case.id: _hash(case) for case in cases}


def stem_of(path: Path) -> str:
    """The name without its ending, also double ones; a folder's whole name."""
    ending = next((e for e in DOUBLE_ENDINGS if path.name.lower().endswith(e)), "" if path.is_dir() else path.suffix)
    return path.name[: len(path.name) - len(ending)]


def _npz(path: Path) -> Case:
    """A challenge file: 2DBox_<Modality>_..., CT_Abdomen_...; the set is its folder, the modality the name's token."""
    keys = _keys(path)
    if not {"imgs", "gts"} <= set(keys):
        raise InputError(f"{path} cannot be measured: imgs and gts are needed, it holds {', '.join(keys)}")
    tokens = path.stem.split("_")
    modality = tokens[1] if tokens[0][:2].upper() in ("2D", "3D") and len(tokens) > 1 else tokens[0]
    kind = "image" if isinstance(read(path), Picture) else "volume"
    return _case(path, kind, modality.lower())


def _keys(path: Path) -> list[str]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return list(archive.files)
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no .npz that can be read: {error}") from error


def _has_image(path: Path) -> bool:
    return "imgs" in _keys(path)


def _reference(path: Path) -> Case:
    scan = read(path)
    kind = "image" if isinstance(scan, Picture) else "video" if isinstance(scan, Video) else "volume"
    return _case(path, kind, "unknown")


def _case(path: Path, kind: str, modality: str) -> Case:
    return Case(
        id=stem_of(path),
        set=path.resolve().parent.name,
        kind=kind,
        modality=modality,
        image=path.name,
        mask=path.name,
        label_type="semantic",
        split="val",
        root=path.parent,
    )


def _hash(case: Case) -> str:
    digest = hashlib.sha256()
    for place in (case.image_file, case.mask_path):
        if not place.exists():
            return "missing"
        for path in sorted(place.iterdir()) if place.is_dir() else [place]:
            digest.update(f"{path.name}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
