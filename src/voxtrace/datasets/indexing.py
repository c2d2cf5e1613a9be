"""A manifest written for a folder of labelled cases: paths beside it, hashes, and every case opened once before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxtrace.datasets.checks import Tell, check
from voxtrace.datasets.faults import Fault, grave
from voxtrace.errors import InputError
from voxtrace.hashing import sha256_of
from voxtrace.manifest import Case, write_manifest


@dataclass(frozen=True, slots=True)
class Index:
    """cases: those written. faults: of all cases. left_out: those that were not written, being faulty."""

    cases: list[Case]
    faults: list[Fault]
    left_out: list[Case]


def index(
    cases: Sequence[Case], out: Path, tell: Tell = lambda done, total: None, *, drop_faulty: bool = False
) -> Index:
    """Check the cases and write a manifest to `out`; with `drop_faulty` without those that have faults (not doubts).

    Raises InputError if none would be left, OutputError if it cannot be written.
    """
    faults = check(cases, tell, hashes=False)
    left_out = _faulty(cases, faults) if drop_faulty else []
    kept = [hashed(relocated(case, out.parent)) for case in cases if case not in left_out]
    if not kept:
        raise InputError(f"all {len(cases)} cases are faulty; nothing is written (the first: {faults[0].detail})")
    write_manifest(out, kept)
    return Index(kept, faults, left_out)


def _faulty(cases: Sequence[Case], faults: Sequence[Fault]) -> list[Case]:
    """Cases with faults, and of those that share an id all but the first."""
    bad = {fault.case for fault in grave(faults) if fault.sort != "same-id"}
    seen: set[str] = set()
    left_out = []
    for case in cases:
        if case.id in bad or case.id in seen:
            left_out.append(case)
        seen.add(case.id)
    return left_out


def relocated(case: Case, root: Path) -> Case:
    """The same case with paths relative to `root`, which may lie elsewhere; absolute where there is no way."""
    select = case.image_path.name[len(case.image_file.name) :]  # #1 of scan.nii.gz#1
    image, mask = _relative(case.image_file, root), _relative(case.mask_path, root)
    return replace(case, root=root, image=image + select, mask=mask)


def hashed(case: Case) -> Case:
    """The same case with the sha256 of its files; of what is not there, or is a folder, None."""
    return replace(case, image_sha256=_hash(case.image_file), mask_sha256=_hash(case.mask_path))


def _relative(path: Path, root: Path) -> str:
    whole = os.path.abspath(path)  # links are not followed: the files of a DataLad set lie elsewhere under other names
    try:
        short = Path(os.path.relpath(whole, os.path.abspath(root)))
    except ValueError:  # another drive
        return Path(whole).as_posix()
    return (short if (root / short).exists() or not path.exists() else Path(whole)).as_posix()


def _hash(place: Path) -> str | None:
    """Of a file; a folder of frames has none."""
    return sha256_of(place) if place.is_file() else None
