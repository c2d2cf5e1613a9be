"""The cases that a fine-tuning is judged on, chosen once and written down: later runs in the folder use the same ones,
with the same prompts, even where cases were added meanwhile. What was changed since is refused, not measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from voxtrace.errors import CaseMissingError, InputError, OutputError
from voxtrace.manifest import Case, write_manifest

LIST, MANIFEST = "validation.json", "validation.jsonl"


@dataclass(frozen=True, slots=True)
class Asking:
    """How the nets are asked: prompt and amount as in `voxtrace evaluate`, at most `objects` objects a case. With the
    seed, a case's id and its object's label they give the very marks."""

    prompt: str = "box"
    seed: int = 0
    objects: int = 12


def freeze(folder: Path, cases: Sequence[Case], hashes: Mapping[str, str], asking: Asking) -> tuple[list[Case], Asking]:
    """The validation cases of the folder `folder`, and how they are asked for: those frozen there before, found again
    among `cases`; else all of split "val", which are written down now.

    hashes: {case: sha256 of its image and mask}. Raises CaseMissingError, InputError for frozen cases that are gone or
    not what they were, and InputError where there is none to be frozen.
    """
    file = folder / LIST
    if not file.is_file():
        held = [case for case in cases if case.split == "val"]
        if not held:
            raise InputError(
                "no case is held out, so nothing could be said of the result: two patients or more are needed, or give "
                "other cases with --val"
            )
        content = {"asking": asdict(asking), "cases": {case.id: hashes[case.id] for case in held}}
        _write(file, json.dumps(content, indent=1))
    frozen = json.loads(file.read_text(encoding="utf-8"))
    known = {case.id: case for case in cases}
    held = [_as_frozen(known, name, sha, hashes, folder) for name, sha in frozen["cases"].items()]
    _write_cases(folder / MANIFEST, held)
    return held, Asking(**frozen["asking"])


def learnt_from(cases: Sequence[Case], held: Sequence[Case]) -> list[Case]:
    """The training cases: split "train", and nobody who is held out. Raises InputError if none is left."""
    people = {(case.set, case.patient or case.id) for case in held}
    left = [case for case in cases if case.split == "train" and (case.set, case.patient or case.id) not in people]
    if not left:
        raise InputError(
            f"no case is left to learn from: {len(held)} are held out, and their patients may not be taught as well"
        )
    return left


def _as_frozen(known: Mapping[str, Case], name: str, sha: str, hashes: Mapping[str, str], folder: Path) -> Case:
    if name not in known:
        raise CaseMissingError(f"the validation case {name}, frozen in {folder / LIST}, is not in the data any more")
    if hashes[name] != sha:
        raise InputError(
            f"the validation case {name} has changed since it was frozen in {folder / LIST}; use another --out"
        )
    return known[name]


def _write_cases(path: Path, cases: Sequence[Case]) -> None:
    """As a manifest of its own, wherever the files lie."""
    write_manifest(
        path, [replace(case, split="val", image=_full(case.image_path), mask=_full(case.mask_path)) for case in cases]
    )


def _full(path: Path) -> str:
    return str(path.resolve())


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
