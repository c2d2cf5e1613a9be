"""Small labelled cases on disk: two pictures with two classes each, a volume, a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from command_line import write_mask, write_scan
from phantoms import lesion

SHAPE = (12, 30, 35)
BLOCKS = {1: (slice(10, 20), slice(22, 34)), 2: (slice(25, 36), slice(5, 14))}  # of the first picture


def write_cases(folder: Path) -> Path:
    """The cases and their manifest; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [write_picture(folder, number) for number in range(2)]
    write_scan(folder / "ct.nii.gz")
    write_mask(folder / "ct_mask.nii.gz", lesion(SHAPE))
    rows.append(_row("scans/ct", "volume", "ct", "ct.nii.gz", "ct_mask.nii.gz"))
    rows.append(_video(folder))
    return write_rows(folder / "manifest.jsonl", rows)


def write_picture(folder: Path, number: int) -> dict[str, Any]:
    """Two blocks of different grey, in each picture three rows further down; returns its row of a manifest."""
    pixels, labels = np.full((40, 50), 30, np.uint8), np.zeros((40, 50), np.uint8)
    for label, (rows, columns) in BLOCKS.items():
        where = (slice(rows.start + 3 * number, rows.stop + 3 * number), columns)
        pixels[where], labels[where] = 60 + 60 * label, label
    Image.fromarray(pixels).save(folder / f"{number}.png")
    Image.fromarray(labels).save(folder / f"{number}_mask.png")
    return _row(f"pictures/{number}", "image", "x-ray", f"{number}.png", f"{number}_mask.png")


def write_disc(folder: Path, number: int, set: str = "discs", **fields: Any) -> dict[str, Any]:
    """A training picture of nobody's bright disc, each a little further down; returns its row with `fields`."""
    y, x = np.mgrid[:80, :96]
    disc = (y - 35 - 3 * number) ** 2 + (x - 50) ** 2 < 14**2
    Image.fromarray(np.where(disc, 200, 60).astype(np.uint8)).save(folder / f"{number}.png")
    Image.fromarray(disc.astype(np.uint8)).save(folder / f"{number}_mask.png")
    row = _row(f"{set}/{number}", "image", "photo", f"{number}.png", f"{number}_mask.png")
    del row["patient"]
    return row | {"split": "train"} | fields


def write_rows(manifest: Path, rows: list[dict[str, Any]]) -> Path:
    """A manifest of these rows; returns its path."""
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest


def _video(folder: Path) -> dict[str, Any]:
    """Six frames of a block that moves to the right; frames 1, 2 and 5 are labelled."""
    (folder / "film").mkdir()
    (folder / "film_masks").mkdir()
    for number in range(6):
        block = np.zeros((40, 50), np.uint8)
        block[10:20, 8 + 2 * number : 20 + 2 * number] = 1
        Image.fromarray(np.where(block, 200, 30).astype(np.uint8)).save(folder / "film" / f"{number}.png")
        if number in (1, 2, 5):
            Image.fromarray(block).save(folder / "film_masks" / f"{number}.png")
    return _row("films/film", "video", "endoscopy", "film", "film_masks")


def _row(name: str, kind: str, modality: str, image: str, mask: str) -> dict[str, Any]:
    row = {"id": name, "set": name.split("/")[0], "kind": kind, "modality": modality, "image": image, "mask": mask}
    return row | {"label_type": "semantic", "patient": name[-1], "split": "val"}
