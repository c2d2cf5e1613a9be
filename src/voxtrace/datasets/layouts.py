"""Which layout a folder has: each is asked whether it knows the folder, and the one that does reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from voxtrace.datasets import bids, challenge_npz, nnunet, pairs
from voxtrace.datasets.found import CHOOSE, Asked, Found
from voxtrace.datasets.splitting import split_by_patient
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.manifest import read_manifest

MANIFEST = "manifest.jsonl"
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How labelled cases can lie. looked_for: what it is known by, in words."""

    name: str
    looked_for: str
    recognises: Callable[[Path], bool]
    find: Callable[[Path, Asked], Found]


def _is_manifest(path: Path) -> bool:
    return path.suffix == ".jsonl" if path.is_file() else (path / MANIFEST).is_file()


def _manifest(path: Path, asked: Asked) -> Found:
    return Found(read_manifest(path / MANIFEST if path.is_dir() else path), "manifest", [], split=True)


OURS = Layout("manifest", f"a .jsonl manifest, or a folder with {MANIFEST}", _is_manifest, _manifest)
LAYOUTS = (
    OURS,
    Layout("nnunet", nnunet.LOOKED_FOR, nnunet.recognises, nnunet.find),
    Layout("bids", bids.LOOKED_FOR, bids.recognises, bids.find),
    Layout("npz", challenge_npz.LOOKED_FOR, challenge_npz.recognises, challenge_npz.find),
    Layout("pairs", pairs.LOOKED_FOR, pairs.recognises, pairs.find),
)
NAMES = ("auto", *(layout.name for layout in LAYOUTS))


def find_cases(path: str | Path, asked: Asked | None = None, *, past_manifest: bool = False) -> Found:
    """The labelled cases of a file or folder, split by patient where the source has no split of its own.

    A manifest is taken before anything else; with `past_manifest` only if there is nothing else. Files are listed, few
    are opened; `checks` opens all. Raises CaseMissingError where nothing is known, with what was looked for; InputError
    where several layouts fit, or the layout that fits leaves something open.
    """
    path, asked = Path(path).expanduser(), asked or Asked()
    if not path.exists():
        raise CaseMissingError(f"{path} does not exist; give a folder of labelled cases, or a manifest")
    found = _layout(path, asked.layout, past_manifest).find(path, asked)
    if not found.cases and found.layout == OURS.name:
        raise CaseMissingError(f"the manifest {path} has no case in it; `voxtrace data index DIR` writes one")
    if not found.cases:
        raise CaseMissingError(f"{path} is laid out as {found.layout}, but no case in it has both image and labels")
    if found.split:
        return found
    cases, said = split_by_patient(found.cases, asked.val, asked.seed)
    return replace(found, cases=cases, notes=[*found.notes, *said])


def _layout(path: Path, name: str, past_manifest: bool) -> Layout:
    if name != "auto":
        chosen = next((layout for layout in LAYOUTS if layout.name == name), None)
        if chosen is None:
            raise InputError(f"the layout {name!r} is unknown; one of {', '.join(NAMES)}")
        if not chosen.recognises(path):
            raise CaseMissingError(f"{path} is not laid out as {name}: looked for {chosen.looked_for}. {_holds(path)}")
        return chosen
    known = [layout for layout in LAYOUTS if layout.recognises(path)]
    if OURS in known and (not past_manifest or known == [OURS]):
        return OURS
    known = [layout for layout in known if layout is not OURS]
    if not known:
        looked_for = "".join(f"\n  {layout.name:9} {layout.looked_for}" for layout in LAYOUTS)
        raise CaseMissingError(f"no labelled cases were found at {path}. Looked for:{looked_for}\n{_holds(path)}")
    if len(known) > 1:
        names = " and ".join(layout.name for layout in known)
        raise InputError(f"{path} can be read as {names}; say which: {CHOOSE} --layout {known[0].name}")
    return known[0]


def _holds(path: Path) -> str:
    if path.is_file():
        return f"It is a file named {path.name}"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir() if not entry.name.startswith("."))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"It holds {', '.join(names[:SHOWN])}{more}" if names else "It is empty"
