"""All cases of a data set looked at, one in memory at a time, and compared: copies, leaks, odd spacings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from voxtrace.datasets.faults import Fault
from voxtrace.datasets.looking import Look, look_at
from voxtrace.manifest import Case, changed_files

Tell = Callable[[int, "int | None"], None]
ODD_SPACING = 2.5  # times the set's median, or less than its part
ENOUGH = 4  # volumes of a set of which a median means something
KEPT_FIRST = {"test": 0, "val": 1, "train": 2}  # of copies in several splits the one in train is the faulty one


def check(cases: Sequence[Case], tell: Tell = lambda done, total: None, *, hashes: bool = True) -> list[Fault]:
    """Open every case and say what is wrong. hashes: also compare files with the sha256 of the manifest."""
    looks, faults = [], []
    for number, case in enumerate(cases, 1):
        look = look_at(case)
        changed = [Fault("changed", case.id, str(path)) for path, _ in changed_files(case)] if hashes else []
        faults += [*look.faults, *changed]
        looks.append(look)
        tell(number, len(cases))
    return [*faults, *_same_ids(cases), *_copies(looks), *_patients(cases), *_spacings(looks)]


def _same_ids(cases: Sequence[Case]) -> list[Fault]:
    seen: set[str] = set()
    faults = []
    for case in cases:
        faults += [Fault("same-id", case.id, f"{case.image} is not the first")] if case.id in seen else []
        seen.add(case.id)
    return faults


def _copies(looks: Iterable[Look]) -> list[Fault]:
    """Images that several cases have. One value everywhere is a fault of its own and no copy."""
    groups: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        if look.image_hash and not any(fault.sort == "constant" for fault in look.faults):
            groups[look.image_hash].append(look)
    faults = []
    for group in groups.values():
        ordered = sorted(group, key=lambda look: KEPT_FIRST[look.case.split])
        for place, look in enumerate(ordered[1:], 1):
            faults.append(_copy(look, ordered[:place]))
    return faults


def _copy(look: Look, before: Sequence[Look]) -> Fault:
    own = look.case
    elsewhere = next((other.case for other in before if other.case.split != own.split), None)
    if elsewhere is not None:
        return Fault("leak", own.id, f"in {own.split}, and in {elsewhere.split} as {elsewhere.id}")
    same = next((other.case for other in before if other.labels_hash == look.labels_hash), None)
    if same is not None:
        return Fault("twice", own.id, f"as {same.id}")
    return Fault("same-image", own.id, f"as {before[0].case.id}")


def _patients(cases: Sequence[Case]) -> list[Fault]:
    """Patients in several splits of a set: the cases that are not in the split that is kept first."""
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cases:
        splits[case.set, case.patient or case.id].add(case.split)
    faults = []
    for case in cases:
        found = sorted(splits[case.set, case.patient or case.id], key=KEPT_FIRST.__getitem__)
        if len(found) > 1 and case.split != found[0]:
            faults.append(
                Fault("patient-leak", case.id, f"{case.patient or case.id} in {case.split} is in {found[0]} too")
            )
    return faults


def _spacings(looks: Iterable[Look]) -> list[Fault]:
    sets: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        if look.spacing_mm is not None:
            sets[look.case.set].append(look)
    faults = []
    for own in sets.values():
        median = np.median([look.spacing_mm for look in own], axis=0)
        for look in own if len(own) >= ENOUGH else ():
            ratio = np.abs(np.log(np.array(look.spacing_mm) / median)).max()
            if ratio > np.log(ODD_SPACING):
                shown = [" x ".join(f"{mm:.3g}" for mm in steps) for steps in (look.spacing_mm or (), median)]
                faults.append(Fault("spacing", look.case.id, f"{shown[0]} mm (z, y, x), the set's median {shown[1]}"))
    return faults
