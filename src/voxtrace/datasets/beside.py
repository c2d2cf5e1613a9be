"""Masks lying beside their images: a.png and a_mask.png, or a folder a case with image.nii.gz and mask.nii.gz in it.

A case may have several images (CASE_t1c, CASE_flair beside CASE_seg): they are its channels, and one is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxtrace.datasets.found import CHOOSE, Asked, Draft
from voxtrace.datasets.modalities import modality_of
from voxtrace.datasets.naming import folders_in, scans_in, stem
from voxtrace.errors import InputError

MASKS = (
    *("masks", "mask", "labels", "label", "gts", "gt", "groundtruth", "ground_truth", "ground truth", "annotations"),
    *("segmentations", "segmentation", "segs", "seg", "targets"),
)
WORDS = ("mask", "masks", "seg", "label", "labels", "segmentation", "gt", "groundtruth", "annotation")
SUFFIXES = tuple(joint + word for word in WORDS for joint in "_-")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A mask and the images beside it that it may belong to, by what their names say beyond the case's."""

    name: str
    mask: Path
    images: dict[str, Path]
    patient: str | None


def bases(mask: Path) -> list[str]:
    """The stems that the image of a mask named with a suffix may have: a of a_mask.png."""
    own = stem(mask)
    return [own[: -len(suffix)] for suffix in SUFFIXES if own.lower().endswith(suffix) and len(own) > len(suffix)]


def any_beside(path: Path) -> bool:
    """Whether some mask has its image beside it."""
    return next(_labelled(path), None) is not None


def beside(path: Path, asked: Asked, notes: list[str]) -> list[Draft]:
    """A case for every mask with an image beside it. Raises InputError where there are several and none is chosen."""
    found = list(_labelled(path))
    channels = sorted({channel for one in found if len(one.images) > 1 for channel in one.images})
    if channels and asked.channel is None:
        raise InputError(
            f"{path} has several images a case: {', '.join(channels)}. Choose one: {CHOOSE} --channel {channels[0]}"
        )
    if channels and asked.channel not in channels:
        raise InputError(f"--channel {asked.channel}: the images of {path} are {', '.join(channels)}")
    drafts, lacking = [], []
    for one in found:
        image = one.images.get(asked.channel or "") if len(one.images) > 1 else next(iter(one.images.values()))
        if image is None:
            lacking.append(one.name)
            continue
        modality = modality_of(path.resolve().name, image.name, channel=asked.channel or "")
        drafts.append(Draft(one.name, image, one.mask, patient=one.patient, modality=modality))
    if lacking:
        notes.append(f"{len(lacking)} cases are left out, they lack {asked.channel} ({lacking[0]})")
    used = {file for one in found for file in (one.mask, *one.images.values())}
    if bare := [file for file in scans_in(path) if file not in used]:
        notes.append(f"{len(bare)} files are left out, they have no mask beside them ({bare[0].name})")
    return drafts


def _labelled(path: Path) -> Iterator[Labelled]:
    """In the folder itself, and in the folders in it; those are a patient each."""
    yield from _in_folder(path, None)
    for folder in folders_in(path):
        own = list(_in_folder(folder, folder.name))
        for one in own:
            name = folder.name if len(own) == 1 else f"{folder.name}/{one.name}"
            yield Labelled(name, one.mask, one.images, folder.name)


def _in_folder(folder: Path, case: str | None) -> Iterator[Labelled]:
    """case: the folder's name where it holds one case; then a mask may be named just mask.nii.gz."""
    files = scans_in(folder)
    bare = [file for file in files if case is not None and stem(file).lower() in MASKS]
    masks = [*bare, *(file for file in files if bases(file) and file not in bare)]
    images = [file for file in files if file not in masks]
    for mask in masks:
        if mask in bare:
            found = {stem(image): image for image in images}
        else:
            found = next((own for base in bases(mask) if (own := _of_base(base, images))), {})
        if found:
            yield Labelled(case or bases(mask)[0] if mask in bare else bases(mask)[0], mask, found, None)


def _of_base(base: str, images: list[Path]) -> dict[str, Path]:
    """The image of this very stem; else those whose stem goes on after it."""
    if exact := [image for image in images if stem(image) == base]:
        return {"": exact[0]}
    longer = [image for image in images if stem(image).startswith((f"{base}_", f"{base}-"))]
    return {stem(image)[len(base) + 1 :]: image for image in longer}
