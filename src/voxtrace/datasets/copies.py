"""Files that lie in what is learned from and in what is held out: the cheap part of `checks`, made before a training.

Only files of equal size are read, so that a data set without copies costs a look at its folder. Copies packed
otherwise, and people with several names, are found by `voxtrace data check`, which opens every case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from voxtrace.manifest import Case

CHUNK = 1 << 22
SHOWN = 3


def copied(learnt: Sequence[Case], held: Sequence[Case]) -> list[tuple[Case, Case]]:
    """(learnt, held out) for every held-out case whose image, file for file, is one of the learnt ones."""
    sizes = {_sizes(case) for case in learnt} & {_sizes(case) for case in held}
    known: dict[str, Case] = {}
    for case in learnt:
        if _sizes(case) in sizes and all(_sizes(case)):
            known.setdefault(_digest(case), case)
    found = ((known.get(_digest(case)), case) for case in held if known and _sizes(case) in sizes)
    return [(first, case) for first, case in found if first is not None]


def shared_patients(learnt: Sequence[Case], held: Sequence[Case]) -> list[tuple[Case, Case]]:
    """(learnt, held out) for every held-out case whose patient is learnt from too, within a set."""
    known = {(case.set, case.patient or case.id): case for case in learnt}
    pairs = ((known.get((case.set, case.patient or case.id)), case) for case in held)
    return [(first, case) for first, case in pairs if first is not None]


def told(pairs: Sequence[tuple[Case, Case]]) -> str:
    """Such as "a/1 with b/7, a/2 with b/9 and 4 more", the held-out case first."""
    more = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    return ", ".join(f"{held.id} with {first.id}" for first, held in pairs[:SHOWN]) + more


def _files(case: Case) -> list[Path]:
    place = case.image_file
    try:
        return sorted(p for p in place.iterdir() if p.is_file()) if place.is_dir() else [place]
    except OSError:
        return []


def _sizes(case: Case) -> tuple[int, ...]:
    """Of the image's files; () of one that is not there, which is told elsewhere."""
    try:
        return tuple(path.stat().st_size for path in _files(case))
    except OSError:
        return ()


def _digest(case: Case) -> str:
    """Of the image's bytes, and of which volume of the file is meant."""
    digest = hashlib.sha256(case.image_path.name[len(case.image_file.name) :].encode())
    for piece in _pieces(_files(case)):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(paths: Iterable[Path]) -> Iterable[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece
