"""Drafts of a layout made cases: the patient out of the name, the set, what all cases of a set share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from voxtrace.datasets.found import CHOOSE, Asked, Draft
from voxtrace.datasets.modalities import SAID, UNKNOWN
from voxtrace.datasets.naming import kind_of
from voxtrace.errors import InputError
from voxtrace.manifest import Case

OF_ONE_PATIENT = re.compile(r"[_\-. ](frame|fr|slice|sl|scan|ses|visit|time|tp|ed|es|run|acq|z|t)[-_]?\d*$", re.I)
PERSON = re.compile(r"(?:^|[^a-z])((?:patient|subject|sub|pat|pid)[-_ ]?\d+|sub-[a-z0-9]+)", re.I)


def patients_of(names: Sequence[str], pattern: str | None) -> tuple[list[str], list[str]]:
    """The patient of each case name, and notes. Raises InputError for a pattern that is none or does not fit a name.

    Without a pattern a patient's number in the name (patient007, sub-12) is taken, else what remains without a last
    word like _frame01 or _slice3: two people taken for one cost little, one person in two splits spoils every figure.
    """
    if pattern is not None:
        return [_by_pattern(pattern, name) for name in names], []
    found = [_patient(name) for name in names]
    if len(set(found)) == 1 < len(set(names)):
        return list(names), [
            f"every name begins as {found[0]!r}: each case counts as its own patient. If that is wrong, say where a "
            "name holds the patient, as with --patient '^([^_]+)'"
        ]
    if len(set(found)) < len(set(names)):
        merged = next(name for name, patient in zip(names, found, strict=True) if found.count(patient) > 1)
        return found, [
            f"{len(set(names))} cases are of {len(set(found))} patients, by their names ({merged} is of "
            f"{found[list(names).index(merged)]}); --patient REGEX says it otherwise"
        ]
    return found, []


def finished(drafts: Iterable[Draft], root: Path, asked: Asked, notes: list[str], **more: object) -> list[Case]:
    """Drafts made cases under `root`; adds to `notes`. `more` are further fields of all cases."""
    drafts = [known for draft in drafts if (known := _with_kind(draft, notes))]
    patients = [draft.patient or "" for draft in drafts]
    if asked.patient or not all(patients):
        patients, said = patients_of([draft.name for draft in drafts], asked.patient)
        notes += said
    pairs = zip(drafts, patients, strict=True)
    cases = [_case(d, p if asked.patient else d.patient or p, root, asked, more) for d, p in pairs]
    if any(case.modality == UNKNOWN for case in cases):
        notes.append(
            f"the modality is not in the names: {CHOOSE} --modality ct|mri|... says it (CT is shown in HU windows)"
        )
    return cases


def _with_kind(draft: Draft, notes: list[str]) -> Draft | None:
    """The draft with its kind; None, and a note, where the file that would tell it cannot be read."""
    try:
        return draft if draft.kind else replace(draft, kind=kind_of(draft.image))
    except InputError as error:
        notes.append(f"{draft.name} is left out: {error}")
        return None


def _case(draft: Draft, patient: str, root: Path, asked: Asked, more: dict[str, object]) -> Case:
    own = asked.set or draft.set or root.resolve().name
    modality = asked.modality.lower() if asked.modality else draft.modality
    return Case(
        id=f"{own}/{draft.name}",
        set=own,
        kind=draft.kind or "volume",
        modality=SAID.get(modality or "", modality) or UNKNOWN,
        image=draft.image.relative_to(root).as_posix(),
        mask=draft.mask.relative_to(root).as_posix(),
        label_type=asked.label_type or draft.label_type or "semantic",
        split=draft.split or "train",
        patient=patient,
        root=root,
        coding=draft.coding,
        licence=asked.licence,
        **more,  # type: ignore[arg-type]
    )


def _patient(name: str) -> str:
    if person := PERSON.search(name):
        return person.group(1)
    while (shorter := OF_ONE_PATIENT.sub("", name)) != name:
        name = shorter
    return name


def _by_pattern(pattern: str, name: str) -> str:
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise InputError(f"--patient {pattern!r} is no regular expression: {error}") from None
    if match is None:
        raise InputError(f"--patient {pattern!r} does not fit the case {name!r}")
    return (match.group(1) if match.groups() else None) or match.group(0)
