"""Which patients a result is measured on: chosen by hash, so that names and seed alone decide."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from voxtrace.errors import InputError
from voxtrace.manifest import Case


def split_by_patient(cases: Sequence[Case], val: float, seed: int) -> tuple[list[Case], list[str]]:
    """Cases of split "train" divided into "train" and "val", a patient's all to one side, set by set; and notes.

    val: share of each set's patients, rounded, at least one where there are two; 0 leaves all in "train". Splits "val"
    and "test" stay. Raises InputError for a share outside 0..1.
    """
    if not 0 <= val < 1:
        raise InputError(f"--val {val}: a share of the patients from 0 to below 1 is needed, for example 0.2")
    patients: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        if case.split == "train":
            patients[case.set].add(case.patient or case.id)
    held = {name: _held(found, val, seed) for name, found in patients.items()}
    divided = [
        replace(case, split="val") if case.split == "train" and (case.patient or case.id) in held[case.set] else case
        for case in cases
    ]
    notes = [
        f"{name}: of {len(found)} patients {len(held[name])} in val (seed {seed})"
        if len(found) > 1
        else f"{name} has one patient only: nothing of it is kept for val"
        for name, found in sorted(patients.items())
    ]
    return divided, notes


def _held(patients: set[str], val: float, seed: int) -> set[str]:
    count = 0 if val == 0 or len(patients) < 2 else min(max(round(val * len(patients)), 1), len(patients) - 1)
    return set(sorted(patients, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[:count])
