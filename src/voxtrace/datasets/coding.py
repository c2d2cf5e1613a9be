"""How masks that are pictures code their labels: as numbers, as white on black, as colours. Looked at once for a set.

A coding is a short text, kept in the manifest: None (numbers are labels), ">127" (brighter is label 1), or
"#ff0000 #00ff00" (these colours are labels 1 and 2, black is background).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxtrace.datasets.naming import PICTURE_ENDINGS, scans_in
from voxtrace.errors import InputError
from voxtrace.io import picture

WHITE = ">127"
KNOWN = re.compile(r">\d+|#[0-9a-f]{6}( #[0-9a-f]{6})*", re.I)
MOST_COLOURS = 64
LOOKED_AT = 12  # masks whose greys are looked at; of colours all are
FAR_FROM_BOTH = 0.02  # share of pixels of a JPEG mask that may be neither black nor white


def of_masks(masks: Sequence[Path]) -> tuple[str | None, list[str]]:
    """The coding of a set's masks, and notes. Raises InputError for more colours than there can be classes."""
    masks = [mask for mask in masks if mask.is_file() and mask.name.lower().endswith(PICTURE_ENDINGS)] or [
        next(iter(scans_in(mask))) for mask in masks if mask.is_dir() and scans_in(mask)
    ]
    masks = [mask for mask in masks if mask.name.lower().endswith(PICTURE_ENDINGS)]
    if not masks:
        return None, []
    looked = [masks[i] for i in np.unique(np.linspace(0, len(masks) - 1, LOOKED_AT).round().astype(int))]
    pixels = [array for mask in looked if (array := _readable(mask)) is not None]
    if not pixels:
        return None, []
    if any(_coloured(array) for array in pixels):
        return _colours(masks)
    greys = [array if array.ndim == 2 else array[..., 0] for array in pixels]
    jpeg = any(mask.suffix.lower() in (".jpg", ".jpeg") for mask in looked)
    if jpeg and all(_two_sided(grey) for grey in greys):
        return WHITE, [
            "masks are JPEG, which blurs edges: brighter than 127 is taken for label 1; PNG keeps them exact"
        ]
    if not jpeg and all(set(np.unique(grey).tolist()) <= {0, 255} for grey in greys) and any(g.any() for g in greys):
        return WHITE, ["masks are black and white: 255 is taken for label 1"]
    return None, []


def decode(path: Path, coding: str) -> np.ndarray:
    """(H, W) labels of a mask picture. Raises InputError for a colour that the coding does not know, and for a coding
    that is none."""
    if not KNOWN.fullmatch(coding):
        raise InputError(f"the coding {coding!r} is none: numbers need none, else as {WHITE!r} or '#ff0000 #00ff00'")
    pixels = _stored(path)
    if coding.startswith(">"):
        if _coloured(pixels):
            raise InputError(f"the mask {path} is coloured, the others of its set are black and white")
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        return (grey > int(coding[1:])).astype(np.uint8)
    packed = _packed(pixels)
    labels = np.zeros(packed.shape, np.uint8)
    known = packed == 0
    for label, colour in enumerate(coding.split(), 1):
        there = packed == int(colour[1:], 16)
        labels[there] = label
        known |= there
    if not known.all():
        strange = int(packed[~known][0])
        raise InputError(
            f"the mask {path} has the colour #{strange:06x}, which is not one of {coding} (black is background)"
        )
    return labels


def _stored(path: Path) -> np.ndarray:
    """(H, W) or (H, W, 3); a palette's numbers are labels, so its colours do not matter."""
    try:
        if path.suffix.lower() in (".jpg", ".jpeg"):
            return picture.read(path).pixels
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image) if image.mode in ("P", "L", "I", "I;16") else picture.read(path).pixels
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"the mask {path} cannot be read: {error}") from None


def _readable(path: Path) -> np.ndarray | None:
    """The pixels; None of a damaged file, which the checks name later."""
    try:
        return _stored(path)
    except InputError:
        return None


def _coloured(pixels: np.ndarray) -> bool:
    return pixels.ndim == 3 and not (pixels == pixels[..., :1]).all()


def _two_sided(grey: np.ndarray) -> bool:
    between = (grey > 48) & (grey < 208)
    return bool(between.mean() < FAR_FROM_BOTH and (grey >= 208).any())


def _packed(pixels: np.ndarray) -> np.ndarray:
    """(H, W) one number a colour."""
    rgb = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels
    r, g, b = (rgb[..., i].astype(np.uint32) for i in range(3))
    return r << 16 | g << 8 | b


def _colours(masks: Sequence[Path]) -> tuple[str, list[str]]:
    found: set[int] = set()
    for mask in masks:
        if mask.suffix.lower() in (".jpg", ".jpeg"):
            raise InputError(f"the mask {mask} is a coloured JPEG, in which colours run; save masks as PNG")
        if (pixels := _readable(mask)) is not None:
            found |= set(np.unique(_packed(pixels)).tolist()) - {0}
        if len(found) > MOST_COLOURS:
            raise InputError(
                f"masks like {mask} have more than {MOST_COLOURS} colours: are they classes? Save one number a pixel "
                "(grey or palette PNG)"
            )
    coding = " ".join(f"#{colour:06x}" for colour in sorted(found))
    return coding, [f"masks are coloured: labels 1 to {len(found)} are {coding}, black is background"]
