"""BIDS: scans in sub-*/[ses-*/]anat/, their labels in derivatives/PIPELINE/sub-*/..., named *_dseg or *_mask.

Labels belong to the scan whose entities (sub, ses, acq, run, ...) they share; those that only labels have (space, desc,
label, ...) are passed over. A patient is the sub label. Label names come from a dseg.tsv beside or above the labels.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from voxtrace.datasets.drafting import finished
from voxtrace.datasets.found import CHOOSE, Asked, Draft, Found
from voxtrace.datasets.modalities import modality_of
from voxtrace.datasets.naming import stem
from voxtrace.errors import InputError

LOOKED_FOR = "sub-*/ with derivatives/*/sub-*/ holding *_dseg or *_mask (BIDS)"
KINDS = ("dseg", "mask", "seg")  # BIDS knows the first two; the third is common
OF_LABELS = {"space", "desc", "label", "res", "den", "hemi", "seg", "atlas"}
OWN_SPACES = {"orig", "native", "individual", "scanner"}
PREFERRED = "T1w"


def recognises(path: Path) -> bool:
    """Whether scans of subjects and derivatives of subjects are there."""
    return path.is_dir() and any(path.glob("sub-*")) and next(_masks(path), None) is not None


def find(path: Path, asked: Asked) -> Found:
    """A case for every labelled scan. Raises InputError where several masks or contrasts fit and none is chosen."""
    notes: list[str] = []
    images = _images(path)
    masks = _one_sort(path, _in_scans_space(path, images, notes), asked.mask)
    fitting = {mask: _fitting(mask, images, notes) for mask in masks}
    fitting = {mask: found for mask, found in fitting.items() if found}
    suffix = _suffix(path, fitting, asked.channel)
    drafts = []
    for mask, found in fitting.items():
        of_suffix = [image for image in found if _suffix_of(image) == suffix]
        if len(of_suffix) == 1:
            drafts.append(_draft(of_suffix[0], mask))
        else:
            what = f"fits {len(of_suffix)} scans" if of_suffix else f"has no {suffix} scan"
            notes.append(f"{mask.name} is left out: it {what}")
    labelled = {draft.image for draft in drafts}
    if bare := [image for image in images if _suffix_of(image) == suffix and image not in labelled]:
        notes.append(f"{len(bare)} {suffix} scans are left out, they have no labels ({bare[0].name})")
    notes += _participants(path, {draft.patient or "" for draft in drafts})
    return Found(finished(drafts, path, asked, notes, labels=_names(path, masks)), "bids", notes)


def _images(path: Path) -> list[Path]:
    return sorted(p for p in path.glob("sub-*/**/*") if p.is_file() and p.name.endswith((".nii.gz", ".nii")))


def _masks(path: Path) -> Iterator[Path]:
    for file in sorted(path.glob("derivatives/*/sub-*/**/*")):
        if file.name.endswith((".nii.gz", ".nii")) and _suffix_of(file) in KINDS:
            yield file


def _suffix_of(file: Path) -> str:
    return stem(file).rpartition("_")[2]


def _entities(file: Path) -> dict[str, str]:
    """{sub: 01, ses: 2, ...} of sub-01_ses-2_T1w.nii.gz."""
    return dict(part.split("-", 1) for part in stem(file).split("_") if "-" in part)


def _sort(path: Path, mask: Path) -> str:
    """What masks of one sort share in their names: manual/desc-tumour_mask."""
    own = [f"{k}-{v}" for k, v in _entities(mask).items() if k in OF_LABELS]
    pipeline = mask.relative_to(path / "derivatives").parts[0]
    return f"{pipeline}/{'_'.join([*own, _suffix_of(mask)])}"


def _in_scans_space(path: Path, images: list[Path], notes: list[str]) -> list[Path]:
    """The labels without those of a template's space (space-MNI152), which lie on no scan."""
    spaces = OWN_SPACES | {_suffix_of(image) for image in images}
    masks = list(_masks(path))
    foreign = [mask for mask in masks if _entities(mask).get("space", "orig") not in spaces]
    if foreign:
        notes.append(f"{len(foreign)} label files are left out, their space is no scan's ({foreign[0].name})")
    return [mask for mask in masks if mask not in set(foreign)]


def _one_sort(path: Path, masks: list[Path], asked: str | None) -> list[Path]:
    """The labels of the only sort there is, or of the sort asked for by a part of its name. Raises InputError."""
    sorts: dict[str, list[Path]] = defaultdict(list)
    for mask in masks:
        sorts[_sort(path, mask)].append(mask)
    listed = ", ".join(f"{name} ({len(found)})" for name, found in sorted(sorts.items()))
    fitting = [asked] if asked in sorts else [name for name in sorted(sorts) if asked is None or asked in name]
    if not sorts:
        return []
    if not fitting:
        raise InputError(f"--mask {asked}: {path} has the labels {listed}")
    if len(fitting) > 1:
        raise InputError(f"{path} has several sorts of labels: {listed}. Choose one: {CHOOSE} --mask {fitting[0]}")
    return sorts[fitting[0]]


def _fitting(mask: Path, images: list[Path], notes: list[str]) -> list[Path]:
    """The scans that the labels may belong to: every entity that both could have is the same."""
    own = _entities(mask)
    space = own.get("space")
    shared = {key: value for key, value in own.items() if key not in OF_LABELS}
    found = [image for image in images if shared.items() <= _entities(image).items()]
    closest = min((len(_entities(image)) for image in found), default=0)
    found = [image for image in found if len(_entities(image)) == closest]
    named = re.search(r"_(T1w|T2w|FLAIR|T2star|PDw|ct|pet)_", mask.name)  # sub-01_T2w_label-SC_seg
    if space and space not in OWN_SPACES:
        return [image for image in found if _suffix_of(image) == space]
    if named:
        return [image for image in found if _suffix_of(image) == named.group(1)]
    if not found:
        notes.append(f"{mask.name} is left out: no scan has its name")
    return found


def _suffix(path: Path, fitting: dict[Path, list[Path]], asked: str | None) -> str:
    """Which of the scans is read: the one asked for, the only one; else the choice is left to the person."""
    there = sorted({_suffix_of(image) for found in fitting.values() for image in found})
    if asked is not None:
        if asked not in there:
            raise InputError(f"--channel {asked}: {path.name} has labelled {', '.join(there)}")
        return asked
    if len(there) > 1:
        first = PREFERRED if PREFERRED in there else there[0]
        raise InputError(
            f"labels of {path} fit several scans: {', '.join(there)}. Choose one: {CHOOSE} --channel {first}"
        )
    return there[0] if there else PREFERRED


def _draft(image: Path, mask: Path) -> Draft:
    modality = modality_of(channel=_suffix_of(image)) or "mri"
    return Draft(stem(image), image, mask, patient=f"sub-{_entities(image)['sub']}", modality=modality)


def _names(path: Path, masks: list[Path]) -> tuple[tuple[int, str], ...] | None:
    """Label names of the first dseg.tsv that goes with the masks."""
    for mask in masks:
        for place in (mask.with_name(f"{stem(mask)}.tsv"), *(above / "dseg.tsv" for above in mask.parents)):
            if place.is_file():
                return _table(place)
            if place.parent == path:
                break
    return None


def _table(place: Path) -> tuple[tuple[int, str], ...]:
    try:
        return tuple(sorted((int(row["index"]), row["name"]) for row in _rows(place) if int(row["index"]) > 0))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{place}: columns index (whole numbers) and name are needed") from None


def _rows(place: Path) -> list[dict[str, str]]:
    """The rows of a table with tabs. Raises InputError."""
    try:
        with place.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{place} is no table of UTF-8 text: {error}") from None


def _participants(path: Path, labelled: set[str]) -> list[str]:
    place = path / "participants.tsv"
    if not place.is_file():
        return []
    listed = {row.get("participant_id") or "" for row in _rows(place)} - {""}
    strange = sorted(labelled - listed)
    said = [f"{len(listed & labelled)} of the {len(listed)} people of participants.tsv have a labelled scan"]
    return said + ([f"not in participants.tsv: {', '.join(strange[:3])} ({len(strange)})"] if strange else [])
