"""Which labelled cases there are, where they lie, and what each may be used for. One JSON object a line.

Paths in the file are relative to the folder that holds it, so a data set moves as one piece.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from voxtrace.errors import CaseMissingError, InputError, OutputError
from voxtrace.hashing import sha256_of

KINDS = ("image", "volume", "video")
LABEL_TYPES = ("semantic", "instance")
SPLITS = ("train", "val", "test")
OPTIONAL = ("patient", "image_sha256", "mask_sha256", "labels", "ignore", "coding", "licence")
KIND_NAMES = {str: "text", int: "a whole number", bool: "true or false", dict: '{"1": "liver", ...}'}


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled scan, picture or video.

    image, mask: paths relative to `root` (a file; for a video a folder of frames, whose masks share the frames' stems).
    Of a file with several volumes the image is named as path#number, as voxtrace.io reads it.
    label_type: "semantic" (a value is a class) or "instance" (a value is one object).
    patient: None where the source does not say; then the case counts as its own patient.
    image_sha256, mask_sha256: of single files, where known; `validate` compares them on request.
    labels: ((value, name), ...) where the source names its labels; a value that is not there is a fault.
    ignore: the value of voxels of which nothing is known (nnU-Net's ignore label).
    coding: how a mask picture codes labels where its numbers are not labels (see datasets.coding).
    licence: under which terms the case may be used, in the owner's words.
    """

    id: str
    set: str
    kind: str
    modality: str
    image: str
    mask: str
    label_type: str
    split: str
    patient: str | None = None
    may_train_shipped_weights: bool = False
    root: Path = Path()
    image_sha256: str | None = None
    mask_sha256: str | None = None
    labels: tuple[tuple[int, str], ...] | None = None
    ignore: int | None = None
    coding: str | None = None
    licence: str | None = None

    @property
    def image_path(self) -> Path:
        """Where the image (or the folder of frames) lies."""
        return self.root / self.image

    @property
    def image_file(self) -> Path:
        """The file of the image, where `image` says which of its volumes is meant: scan.nii.gz of scan.nii.gz#1."""
        path = self.image_path
        return path if "#" not in path.name or path.exists() else path.with_name(path.name.rpartition("#")[0])

    @property
    def mask_path(self) -> Path:
        """Where the reference labels lie."""
        return self.root / self.mask


def read_manifest(path: str | Path) -> list[Case]:
    """Read a JSONL manifest; raises InputError naming the line that cannot be used."""
    path = Path(path)
    if not path.is_file():
        raise CaseMissingError(f"there is no manifest at {path}; give the path of a .jsonl file with one case a line")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file: {error}") from error
    return [_case(line, f"{path}:{number}", path.parent) for number, line in enumerate(lines, 1) if line.strip()]


def write_manifest(path: str | Path, cases: Iterable[Case]) -> None:
    """Write cases as JSONL; their `root` and unknown (None) fields are left out."""
    path = Path(path)
    rows = [_row(case) for case in cases]
    try:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the manifest {path} cannot be written: {error}") from error


def select(
    cases: Iterable[Case],
    *,
    split: str | None = None,
    kind: str | None = None,
    sets: Collection[str] | None = None,
) -> list[Case]:
    """The cases of a split, kind and sets; None means any. Unknown set names raise CaseMissingError."""
    cases = list(cases)
    unknown = sorted(set(sets or ()) - {case.set for case in cases})
    if unknown:
        raise CaseMissingError(f"no case belongs to {unknown}; the sets are {sorted({case.set for case in cases})}")
    return [
        case
        for case in cases
        if (split is None or case.split == split)
        and (kind is None or case.kind == kind)
        and (sets is None or case.set in sets)
    ]


def shipped_training_cases(cases: Iterable[Case]) -> list[Case]:
    """The only cases that weights shipped with the project may see: split "train" and a licence that allows it."""
    return [case for case in cases if case.split == "train" and case.may_train_shipped_weights is True]


def validate(cases: Sequence[Case], *, hashes: bool = False) -> list[str]:
    """Say what is wrong with a list of cases, one sentence a fault; empty when all is well. Files are not decoded."""
    return [*_duplicates(cases), *_leaks(cases), *_missing(cases), *(_changed(cases) if hashes else [])]


def changed_files(case: Case) -> list[tuple[Path, str]]:
    """(file, the sha256 that it had) of a case's image and mask where they are not what they were."""
    pairs = ((case.image_file, case.image_sha256), (case.mask_path, case.mask_sha256))
    return [(path, known) for path, known in pairs if known and path.is_file() and sha256_of(path) != known]


def _case(line: str, where: str, root: Path) -> Case:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InputError(f"{where} is not a JSON object but {type(row).__name__}")
    known = {field.name for field in fields(Case)} - {"root"}
    missing = {"id", "set", "kind", "modality", "image", "mask", "label_type", "split"} - row.keys()
    if missing or row.keys() - known:
        raise InputError(f"{where}: fields missing {sorted(missing)}, unknown {sorted(row.keys() - known)}")
    for name, allowed in (("kind", KINDS), ("label_type", LABEL_TYPES), ("split", SPLITS)):
        _one_of(row[name], allowed, f"{where}: {name}")
    for name, value in row.items():
        _of_type(name, value, where)
    row["labels"] = _labels(row.get("labels"), where)
    return Case(**row, root=root)


def _row(case: Case) -> dict[str, Any]:
    """What is written of a case: {"labels": {"1": "liver"}}, and no field that is not known."""
    row = {name: value for name, value in asdict(case).items() if name != "root" and value is not None}
    return row | ({"labels": {str(value): name for value, name in case.labels}} if case.labels is not None else {})


def _labels(written: Any, where: str) -> tuple[tuple[int, str], ...] | None:
    if written is None:
        return None
    if not all(str(value).isdigit() for value in written):
        raise InputError(f'{where}: labels is {written!r}; {{"1": "liver", ...}} is needed')
    return tuple(sorted((int(value), str(name)) for value, name in written.items()))


def _of_type(name: str, value: Any, where: str) -> None:
    """Raise InputError for a field that is not what `Case` says."""
    kind = {"ignore": int, "may_train_shipped_weights": bool, "labels": dict}.get(name, str)
    if (value is None and name in OPTIONAL) or type(value) is kind:
        return
    raise InputError(f"{where}: {name} is {value!r}; {KIND_NAMES[kind]} is needed")


def _one_of(value: Any, allowed: Sequence[str], what: str) -> None:
    if value not in allowed:
        raise InputError(f"{what} is {value!r}; it must be one of {', '.join(allowed)}")


def _duplicates(cases: Sequence[Case]) -> list[str]:
    ids = Counter(case.id for case in cases)
    images = Counter((case.root / case.image, case.mask) for case in cases)
    return [
        *(f"id {name} is used by {count} cases" for name, count in ids.items() if count > 1),
        *(f"image {path} is listed {count} times" for (path, _), count in images.items() if count > 1),
    ]


def _leaks(cases: Sequence[Case]) -> list[str]:
    """A patient seen in training must not be measured: splits are by patient, within a set."""
    splits: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cases:
        splits[case.set, case.patient or case.id].add(case.split)
    return [
        f"patient {patient} of {name} is in splits {sorted(found)}"
        for (name, patient), found in splits.items()
        if len(found) > 1
    ]


def _missing(cases: Sequence[Case]) -> list[str]:
    return [
        f"case {case.id}: {what} {path} is not there"
        for case in cases
        for what, path in (("image", case.image_file), ("mask", case.mask_path))
        if not path.exists()
    ]


def _changed(cases: Sequence[Case]) -> list[str]:
    return [
        f"case {case.id}: {path} has changed (its sha256 is not {expected[:12]}…)"
        for case in cases
        for path, expected in changed_files(case)
    ]
