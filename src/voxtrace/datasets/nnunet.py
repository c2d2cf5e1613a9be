"""nnU-Net raw: imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz, dataset.json; the Medical Decathlon's form of it too.

imagesTs and labelsTs are split "test"; splits_final.json (in the folder, or in nnUNet_preprocessed beside nnUNet_raw)
says train and val of a fold.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtrace.datasets.drafting import finished
from voxtrace.datasets.found import CHOOSE, Asked, Draft, Found
from voxtrace.datasets.modalities import modality_of
from voxtrace.datasets.naming import folders_in, scans_in, stem
from voxtrace.errors import InputError

LOOKED_FOR = "imagesTr/ with labelsTr/ (nnU-Net raw, with dataset.json)"
CHANNEL = re.compile(r"^(.+)_(\d{4})$")
BACKGROUND = "background"
IGNORE = "ignore"


def recognises(path: Path) -> bool:
    """Whether imagesTr and labelsTr are there, or folders that have them."""
    return path.is_dir() and (_is_set(path) or any(_is_set(folder) for folder in folders_in(path)))


def find(path: Path, asked: Asked) -> Found:
    """The cases of a data set. Raises InputError for regions, several channels and none chosen, a strange json."""
    if not _is_set(path):
        names = ", ".join(folder.name for folder in folders_in(path) if _is_set(folder))
        raise InputError(f"{path} holds several nnU-Net data sets; give one of them: {names}")
    about = _about(path / "dataset.json")
    notes = [] if about else [f"{path.name} has no dataset.json: names of labels and channels are not known"]
    labels, ignore = _labels(about, path)
    channels = _channels(about)
    drafts = _part(path, "Tr", asked, channels, notes) + _part(path, "Ts", asked, channels, notes)
    folds = _splits(path, asked.fold, [draft.name for draft in drafts if draft.split is None], notes)
    if folds:
        drafts = [replace(d, split=d.split or folds[d.name]) for d in drafts if d.split or d.name in folds]
    cases = finished(drafts, path, asked, notes, labels=labels or None, ignore=ignore)
    return Found(cases, "nnunet", notes, split=bool(folds))


def _is_set(path: Path) -> bool:
    return (path / "imagesTr").is_dir() and (path / "labelsTr").is_dir()


def _about(path: Path) -> dict[str, Any]:
    """What dataset.json says; {} without one. Raises InputError where its parts are not what they are called."""
    about = _json(path) if path.is_file() else {}
    parts = [
        about,
        *(about.get(key) or {} for key in ("labels", "channel_names", "modality") if isinstance(about, dict)),
    ]
    if not all(isinstance(part, dict) for part in parts):
        raise InputError(f"{path} is not as nnU-Net has it: labels and channel_names map names and numbers")
    return about


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON: {error}") from None


def _labels(about: dict[str, Any], path: Path) -> tuple[tuple[tuple[int, str], ...], int | None]:
    """((value, name), ...) without background and ignore, and the value to ignore. Both versions of dataset.json."""
    listed = about.get("labels") or {}
    pairs: list[tuple[int, str]] = []
    for key, value in listed.items():
        if isinstance(value, list):
            raise InputError(
                f"{path / 'dataset.json'}: the label {key!r} is a region ({value}), several values together. "
                "Regions are not read here: give each value its own name in `labels` (a copy of the file will do)"
            )
        number, name = (key, value) if str(key).isdigit() else (value, key)
        if not str(number).isdigit():
            raise InputError(
                f"{path / 'dataset.json'}: labels has {key!r}: {value!r}; a name and a whole number are needed"
            )
        pairs.append((int(number), str(name)))
    ignore = next((number for number, name in pairs if name.lower() == IGNORE), None)
    kept = sorted((number, name) for number, name in pairs if number and name.lower() not in (IGNORE, BACKGROUND))
    return tuple(kept), ignore


def _channels(about: dict[str, Any]) -> dict[int, str]:
    """{number: name} of `channel_names`, or `modality` in the old form."""
    listed = about.get("channel_names") or about.get("modality") or {}
    return {int(number): str(name) for number, name in listed.items() if str(number).isdigit()}


def _part(path: Path, part: str, asked: Asked, channels: dict[int, str], notes: list[str]) -> list[Draft]:
    """The cases of imagesTr or imagesTs that have labels."""
    images, labels = path / f"images{part}", path / f"labels{part}"
    if not images.is_dir():
        return []
    masks = {stem(file): file for file in scans_in(labels)} if labels.is_dir() else {}
    by_case: dict[str, dict[int, Path]] = defaultdict(dict)
    for file in scans_in(images):
        match = CHANNEL.match(stem(file))
        if match and stem(file) not in masks:
            by_case[match.group(1)][int(match.group(2))] = file
        elif len(channels) > 1:  # the Decathlon's form has no number: channels are volumes of one file
            by_case[stem(file)] |= {number: file.with_name(f"{file.name}#{number}") for number in channels}
        else:
            by_case[stem(file)][0] = file
    bare = sorted(set(by_case) - set(masks))
    if bare:
        notes.append(f"{len(bare)} images of images{part} are left out, they have no labels ({', '.join(bare[:3])})")
    if lost := sorted(set(masks) - set(by_case)):
        notes.append(f"{len(lost)} labels of labels{part} are left out, they have no image ({', '.join(lost[:3])})")
    there = sorted({number for name in masks for number in by_case.get(name, {})})
    if not there:
        return []
    number, name = _chosen(there, channels, asked.channel, path)
    if len(there) > 1 and part == "Tr":
        notes.append(f"of {len(there)} channels only {number} ({name}) is read")
    whole = [case for case in sorted(masks) if number in by_case.get(case, {})]
    if lacking := sorted(set(masks) - set(whole) - set(lost)):
        notes.append(f"{len(lacking)} cases are left out, they lack channel {number} ({', '.join(lacking[:3])})")
    modality = modality_of(path.name, channel=name)
    split = "test" if part == "Ts" else None
    drafts = [Draft(case, by_case[case][number], masks[case], split, modality=modality) for case in whole]
    return [replace(draft, kind="volume") if "#" in draft.image.name else draft for draft in drafts]


def _chosen(there: list[int], names: dict[int, str], asked: str | None, path: Path) -> tuple[int, str]:
    listed = ", ".join(f"{number} ({names[number]})" if number in names else str(number) for number in there)
    if asked is None and len(there) == 1:
        return there[0], names.get(there[0], "")
    if asked is None:
        raise InputError(
            f"{path} has {len(there)} channels a case: {listed}. Choose one: {CHOOSE} --channel {there[0]}"
        )
    found = next((n for n in there if asked in (str(n), f"{n:04d}") or names.get(n, "").lower() == asked.lower()), None)
    if found is None:
        raise InputError(f"--channel {asked}: {path.name} has {listed}")
    return found, names.get(found, "")


def _splits(path: Path, fold: int, names: list[str], notes: list[str]) -> dict[str, str]:
    """{case: train or val} of a fold; {} where there is no splits_final.json."""
    places = (path, path.resolve().parents[1] / "nnUNet_preprocessed" / path.resolve().name)
    file = next((p / "splits_final.json" for p in places if (p / "splits_final.json").is_file()), None)
    if file is None:
        return {}
    folds = _json(file)
    if not isinstance(folds, list) or not all(_is_fold(one) for one in folds):
        raise InputError(f"{file} is no list of folds with the names in train and val")
    if not 0 <= fold < len(folds):
        raise InputError(f"--fold {fold}: {file} has folds 0..{len(folds) - 1}")
    said = {name: split for split in ("train", "val") for name in folds[fold][split]}
    unsaid = [name for name in names if name not in said]
    if len(unsaid) == len(names):
        raise InputError(f"fold {fold} of {file} names none of the cases of {path} ({', '.join(names[:3])})")
    if unsaid:
        notes.append(f"{len(unsaid)} cases are not in fold {fold} and left out ({', '.join(unsaid[:3])})")
    notes.append(f"train and val are those of fold {fold} of {file}")
    return said


def _is_fold(one: Any) -> bool:
    if not isinstance(one, dict) or not all(isinstance(one.get(split), list) for split in ("train", "val")):
        return False
    return all(isinstance(name, str) for split in ("train", "val") for name in one[split])
