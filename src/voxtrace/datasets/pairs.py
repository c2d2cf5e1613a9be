"""Images and masks as two folders (images/ and masks/, also inside train/ and val/), or side by side (a_mask.png).

A mask belongs to the image of its stem; the mask's may end in _mask, _seg, _label, ... A folder of frames beside a
folder of masks is a video.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from voxtrace.datasets.coding import of_masks
from voxtrace.datasets.found import Asked, Draft, Found
from voxtrace.datasets.naming import finished, folders_in, modality_of, scans_in, stem
from voxtrace.errors import InputError

IMAGES = ("images", "image", "imgs", "img", "scans", "frames", "volumes", "inputs", "photos", "original")
MASKS = (
    *("masks", "mask", "labels", "label", "gts", "gt", "groundtruth", "ground_truth", "ground truth", "annotations"),
    *("segmentations", "segmentation", "segs", "seg", "targets"),
)
SUFFIXES = (
    *("_mask", "-mask", "_seg", "-seg", "_label", "-label", "_labels", "_segmentation", "_gt", "-gt", "_groundtruth"),
    *("_annotation", "_masks"),
)
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
SPLITS |= {"test": "test", "testing": "test"}
LOOKED_FOR = "folders images|imgs|... and masks|labels|gts|..., or files side by side as a.png and a_mask.png"
Place = tuple[str | None, Path, Path]  # split, folder of images, folder of masks


def recognises(path: Path) -> bool:
    """Whether two such folders are there, or a file whose name is another's with a mask's suffix."""
    return path.is_dir() and (bool(_places(path)) or next(_beside(path), None) is not None)


def find(path: Path, asked: Asked) -> Found:
    """The pairs of a folder. Raises InputError where masks are coloured in more ways than can be labels."""
    notes: list[str] = []
    places = _places(path)
    drafts = [draft for place in places for draft in _matched(place, notes)] if places else list(_beside(path))
    if not places:
        used = {file for draft in drafts for file in (draft.image, draft.mask)}
        if bare := [file for file in scans_in(path) if file not in used]:
            notes.append(f"{len(bare)} files are left out, they have no mask beside them ({bare[0].name})")
    drafts = [replace(draft, modality=modality_of(path.resolve().name, draft.image.name)) for draft in drafts]
    split = any(draft.split == "train" for draft in drafts) and any(draft.split == "val" for draft in drafts)
    coding, said = of_masks([draft.mask for draft in drafts])
    notes += said
    drafts = [replace(draft, coding=coding) for draft in drafts]
    return Found(finished(drafts, path, asked, notes), "pairs", notes, split=split)


def _places(path: Path) -> list[Place]:
    """Where images and masks lie: here, in train/ and val/, or in images/train/ and masks/train/."""
    if (both := _two(path)) is None:
        within = [(SPLITS[f.name.lower()], _two(f)) for f in folders_in(path) if f.name.lower() in SPLITS]
        return [(split, *two) for split, two in within if two]
    images, masks = both
    below = {f.name: f for f in folders_in(masks)}
    divided = [f for f in folders_in(images) if f.name.lower() in SPLITS and f.name in below]
    if divided and not scans_in(images):
        return [(SPLITS[f.name.lower()], f, below[f.name]) for f in divided]
    return [(None, images, masks)]


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
    split, images, masks = place
    of_stem: dict[str, Path] = {}
    for mask in [*scans_in(masks), *folders_in(masks)]:
        for name in _names(mask):
            of_stem.setdefault(name, mask)
    items = [*scans_in(images), *(folder for folder in folders_in(images) if scans_in(folder))]
    matched = [(image, of_stem[stem(image)]) for image in items if stem(image) in of_stem]
    matched = [(image, mask) for image, mask in matched if image.is_dir() == mask.is_dir()]
    for what, own, used in (
        ("images", items, {image for image, _ in matched}),
        ("masks", set(of_stem.values()), {mask for _, mask in matched}),
    ):
        if bare := sorted(set(own) - used):
            notes.append(
                f"{len(bare)} {what} in {masks.parent.name} are left out, nothing has their stem ({bare[0].name})"
            )
    for image, mask in matched:
        name = stem(image) if split is None else f"{split}/{stem(image)}"
        yield Draft(name, image, mask, split, kind="video" if image.is_dir() else None)


def _names(mask: Path) -> list[str]:
    """The stems that an image of this mask may have."""
    own = stem(mask)
    return [own, *(own[: -len(suffix)] for suffix in SUFFIXES if own.lower().endswith(suffix))]


def _beside(path: Path) -> Iterator[Draft]:
    """Pairs in the folder itself and one level below it."""
    for folder in (path, *folders_in(path)):
        files = scans_in(folder)
        of_stem = {stem(file): file for file in files}
        for mask in files:
            image = next((of_stem[name] for name in _names(mask)[1:] if name in of_stem), None)
            if image is not None:
                name = image.relative_to(path).with_name(stem(image)).as_posix()
                yield Draft(name, image, mask)
