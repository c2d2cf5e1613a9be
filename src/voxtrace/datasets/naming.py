"""What the names of files and folders tell: stems, modality, patient, the kind of a case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from voxtrace.datasets.found import Asked, Draft
from voxtrace.errors import InputError
from voxtrace.io import read
from voxtrace.manifest import Case
from voxtrace.volume import Picture, Video

VOLUME_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
PEEKED_ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".npz")  # a picture or a stack: only the content tells
ENDINGS = VOLUME_ENDINGS + PICTURE_ENDINGS + PEEKED_ENDINGS

# Words in names -> the modality as manifests write it. Words are looked for whole: "ct" is not in "section".
MODALITIES = {
    "ct": "ct",
    "cbct": "ct",
    "mr": "mri",
    "mri": "mri",
    "t1": "mri",
    "t2": "mri",
    "t1w": "mri",
    "t2w": "mri",
    "t1c": "mri",
    "t1ce": "mri",
    "t2star": "mri",
    "flair": "mri",
    "dwi": "mri",
    "adc": "mri",
    "bold": "mri",
    "pet": "pet",
    "pt": "pet",
    "us": "ultrasound",
    "ultrasound": "ultrasound",
    "xray": "x-ray",
    "x-ray": "x-ray",
    "cxr": "x-ray",
    "endoscopy": "endoscopy",
    "colonoscopy": "endoscopy",
    "dermoscopy": "dermoscopy",
    "fundus": "fundus",
    "oct": "oct",
    "microscopy": "microscopy",
    "histology": "histology",
    "pathology": "histology",
    "mammography": "mammography",
    "mamm": "mammography",
}
UNKNOWN = "unknown"
OF_ONE_PATIENT = re.compile(r"[_\-. ](frame|fr|slice|sl|scan|ses|visit|time|tp|ed|es|run|acq|z|t)[-_]?\d*$", re.I)
PERSON = re.compile(r"(?:^|[^a-z])((?:patient|subject|sub|pat|pid)[-_ ]?\d+)", re.I)


def stem(path: Path) -> str:
    """The name without its ending, double ones included."""
    name = path.name
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), path.suffix)
    return name[: len(name) - len(ending)] if ending and path.suffix else name


def is_scan(path: Path) -> bool:
    """Whether a file is named like one that can be read, and not hidden."""
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".") and path.is_file()


def scans_in(folder: Path) -> list[Path]:
    """The files in a folder that are named like scans, by name."""
    return sorted(path for path in folder.iterdir() if is_scan(path))


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder that are not hidden, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def modality_of(*texts: str) -> str | None:
    """The modality that a word of the texts names; None if none does. The first text that names one decides."""
    for text in texts:
        for word in re.split(r"[^a-z0-9\-]+|-(?!ray)", text.lower().replace("x_ray", "x-ray")):
            if word in MODALITIES:
                return MODALITIES[word]
    return None


def kind_of(path: Path) -> str:
    """image, volume or video: by the ending where that says it, else by the content. Raises InputError."""
    name = path.name.lower()
    if path.is_dir():
        return "video"
    if name.endswith(VOLUME_ENDINGS):
        return "volume"
    if name.endswith(PICTURE_ENDINGS):
        return "image"
    scan = read(path)
    return "image" if isinstance(scan, Picture) else "video" if isinstance(scan, Video) else "volume"


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
    drafts = list(drafts)
    if not all(draft.patient for draft in drafts) or asked.patient:
        patients, said = patients_of([draft.name for draft in drafts], asked.patient)
        notes += said
    else:
        patients = [draft.patient or draft.name for draft in drafts]
    cases = [
        _case(draft, patient, root, asked, more)
        for draft, patient in zip(drafts, (d.patient or p for d, p in zip(drafts, patients, strict=True)), strict=True)
    ]
    if any(case.modality == UNKNOWN for case in cases):
        notes.append(
            "the modality is not in the names: --modality ct, mri, ultrasound, ... says it (CT is shown in HU windows)"
        )
    return cases


def _case(draft: Draft, patient: str, root: Path, asked: Asked, more: dict[str, object]) -> Case:
    own = asked.set or draft.set or root.resolve().name
    modality = asked.modality.lower() if asked.modality else draft.modality
    return Case(
        id=f"{own}/{draft.name}",
        set=own,
        kind=draft.kind or kind_of(draft.image),
        modality=MODALITIES.get(modality or "", modality) or UNKNOWN,
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
