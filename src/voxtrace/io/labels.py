"""Label maps: how masks are checked before they are written, and made whole numbers after they were read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxtrace.errors import InputError, OutputError


def smallest_unsigned(mask: np.ndarray) -> np.ndarray:
    """The same labels in the smallest of uint8, uint16, uint32 that holds them."""
    top = int(mask.max(initial=0))
    for dtype in (np.uint8, np.uint16, np.uint32):
        if top <= np.iinfo(dtype).max:
            return np.ascontiguousarray(mask, dtype)
    raise OutputError(f"label {top} is too large to be stored; the largest is {np.iinfo(np.uint32).max}")


def checked_labels(mask: np.ndarray) -> np.ndarray:
    """The mask, bool or whole numbers from 0; OutputError for anything else (logits, for example)."""
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biu":
        raise OutputError(f"a mask holds whole numbers or bool, not {mask.dtype}; make labels of it first, as mask > 0")
    if mask.dtype.kind == "i" and mask.size and mask.min() < 0:
        raise OutputError(f"a mask's labels count from 0; this one has {int(mask.min())}")
    return mask


def as_labels(array: np.ndarray, path: Path) -> np.ndarray:
    """Any real array that was read as a mask -> unsigned labels; InputError if its values are no labels."""
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(f"the mask {path} holds NaN or infinite values")
        if not (array == np.rint(array)).all():
            worst = array[array != np.rint(array)][0]
            raise InputError(f"the mask {path} holds {worst:g}: probabilities? A mask holds whole numbers")
    if array.size and array.min() < 0:
        raise InputError(f"the mask {path} holds {array.min():g}; labels count from 0, 0 is background")
    return smallest_unsigned(array)
