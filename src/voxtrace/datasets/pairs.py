"""Images and masks as two folders: images/ and masks/, also in train/ and val/, or in a folder a case; else `beside`.

A mask belongs to the image of its stem; the mask's may end in _mask, _seg, _label, ... A folder of frames beside a
folder of masks is a video, and so is a video file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from voxtrace.datasets.beside import MASKS, any_beside, bases, beside
from voxtrace.datasets.coding import of_masks
from voxtrace.datasets.drafting import finished
from voxtrace.datasets.found import Asked, Draft, Found
from voxtrace.datasets.modalities import modality_of
from voxtrace.datasets.naming import films_in, folders_in, scans_in, stem
from voxtrace.errors import InputError

FRAMES = "frames"
IMAGES = ("images", "image", "imgs", "img", "scans", FRAMES, "volumes", "inputs", "photos", "original")
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SPLITS |= {"test": "test", "testing": "test"}
LOOKED_FOR = "folders images|imgs|... and masks|labels|gts|..., or files side by side as a.png and a_mask.png"


@dataclass(frozen=True, slots=True)
class Place:
    """Two folders that belong together. within: the folder that holds just them, if there are several such."""

    images: Path
    masks: Path
    split: str | None = None
    within: str | None = None


def recognises(path: Path) -> bool:
    """Whether two such folders are there, or a file whose name is another's with a mask's suffix."""
    return path.is_dir() and (bool(_places(path)) or any_beside(path))


def find(path: Path, asked: Asked) -> Found:
    """The pairs of a folder. Raises InputError where masks are coloured in more ways than can be labels."""
    notes: list[str] = []
    places = _places(path)
    drafts = [draft for place in places for draft in _matched(place, notes)] if places else beside(path, asked, notes)
    if strange := _passed_over(path, places):
        notes.append(f"{len(strange)} folders are left out, they are laid out otherwise ({strange[0].name})")
    drafts = [replace(draft, modality=draft.modality or _modality(path, draft)) for draft in drafts]
    if any(draft.patient for draft in drafts) and asked.patient is None:
        notes.append("each folder is taken for one patient; --patient REGEX says where names hold the patient")
    split = any(draft.split == "train" for draft in drafts) and any(draft.split == "val" for draft in drafts)
    coding, said = of_masks([draft.mask for draft in drafts])
    notes += said
    drafts = [replace(draft, coding=coding) for draft in drafts]
    return Found(finished(drafts, path, asked, notes), "pairs", notes, split=split)


def _modality(path: Path, draft: Draft) -> str | None:
    return modality_of(path.resolve().name, draft.image.name)


def _places(path: Path) -> list[Place]:
    """Here, in train/ and val/, in images/train/ and masks/train/, or in a folder each."""
    if (both := _two(path)) is None:
        found = [(folder, two) for folder in folders_in(path) if (two := _two(folder))]
        if any(folder.name.lower() in SPLITS for folder, _ in found):
            return [Place(*two, SPLITS[f.name.lower()]) for f, two in found if f.name.lower() in SPLITS]
        return [Place(*two, within=folder.name) for folder, two in found]
    images, masks = both
    below = {folder.name: folder for folder in folders_in(masks)}
    divided = [f for f in folders_in(images) if f.name.lower() in SPLITS and f.name in below]
    if divided and not scans_in(images):
        return [Place(f, below[f.name], SPLITS[f.name.lower()]) for f in divided]
    return [Place(images, masks)]


def _passed_over(path: Path, places: list[Place]) -> list[Path]:
    """Folders beside those that are read, where each folder holds its own images and masks."""
    read = {place.images.parent for place in places}
    return [] if path in read or not places else [f for f in folders_in(path) if f not in read and any(f.iterdir())]


def _two(path: Path) -> tuple[Path, Path] | None:
    folders = {folder.name.lower(): folder for folder in folders_in(path)}
    images = [folders[name] for name in IMAGES if name in folders]
    masks = [folders[name] for name in MASKS if name in folders]
    if not images or not masks:
        return None
    if len(images) > 1 or len(masks) > 1:
        names = ", ".join(folder.name for folder in (*images, *masks))
        raise InputError(f"{path} has several folders that could be meant: {names}; move or rename those that are not")
    return images[0], masks[0]


def _matched(place: Place, notes: list[str]) -> Iterator[Draft]:
    if place.within and place.images.name.lower() == FRAMES:
        yield Draft(place.within, place.images, place.masks, kind="video")
        return
    masks = [*scans_in(place.masks), *folders_in(place.masks)]
    of_stem: dict[str, Path] = {}
    for mask in masks:
        for name in (stem(mask), *bases(mask)):
            of_stem.setdefault(name, mask)
    films = [*(folder for folder in folders_in(place.images) if scans_in(folder)), *films_in(place.images)]
    images = [*scans_in(place.images), *films]
    pairs = [(image, of_stem[stem(image)]) for image in images if stem(image) in of_stem]
    pairs = [(image, mask) for image, mask in pairs if (image in films) == mask.is_dir()]
    for what, own, used in (("images", images, {one for one, _ in pairs}), ("masks", masks, {two for _, two in pairs})):
        if bare := sorted(set(own) - used):
            where = f"{place.masks.parent.name}"
            notes.append(f"{len(bare)} {what} in {where} are left out, nothing has their stem ({bare[0].name})")
    for image, mask in pairs:
        name = "/".join(part for part in (place.split, place.within, stem(image)) if part)
        kind = "video" if image in films else None
        yield Draft(name, image, mask, place.split, place.within, kind=kind)
