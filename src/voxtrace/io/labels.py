"""Label maps: how masks are checked before they are written, and made whole numbers after they were read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voxtrace.errors import InputError, OutputError
from voxtrace.io.large import converted
from voxtrace.mapped import is_mapped, slabs
from voxtrace.scratch import contiguous


def smallest_unsigned(mask: np.ndarray) -> np.ndarray:
    """The same labels in the smallest of uint8, uint16, uint32 that holds them; large mapped ones stay so."""
    dtype = label_type(mask)
    if not is_mapped(mask):
        return np.ascontiguousarray(mask, dtype)
    return contiguous(mask) if mask.dtype == dtype else converted(mask, dtype, lambda part: part.astype(dtype))


def label_type(mask: np.ndarray) -> np.dtype:
    """The smallest of uint8, uint16, uint32 that holds the labels of a mask."""
    top = top_label(mask)
    for dtype in (np.uint8, np.uint16, np.uint32):
        if top <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise OutputError(f"label {top} is too large to be stored; the largest is {np.iinfo(np.uint32).max}")


def top_label(mask: np.ndarray) -> int:
    """The largest label; 0 if there is none."""
    return max((int(part.max(initial=0)) for _, part in slabs(mask)), default=0)


def label_slabs(mask: np.ndarray, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The mask from its first to its last slice, some at a time, each part in C order: to be written one by one."""
    for _, part in slabs(mask):
        yield np.ascontiguousarray(part, dtype)


def checked_labels(mask: np.ndarray) -> np.ndarray:
    """The mask, bool or whole numbers from 0; OutputError for anything else (logits, for example)."""
    mask = np.asarray(mask)
    if mask.dtype.kind not in "biu":
        raise OutputError(f"a mask holds whole numbers or bool, not {mask.dtype}; make labels of it first, as mask > 0")
    if mask.dtype.kind == "i" and mask.size and (least := min(int(part.min()) for _, part in slabs(mask))) < 0:
        raise OutputError(f"a mask's labels count from 0; this one has {least}")
    return mask


def as_labels(array: np.ndarray, path: Path) -> np.ndarray:
    """Any real array that was read as a mask -> unsigned labels; InputError if its values are no labels."""
    for _, part in slabs(array):
        if part.dtype.kind == "f":
            if not np.isfinite(part).all():
                raise InputError(f"the mask {path} holds NaN or infinite values")
            if not (part == np.rint(part)).all():
                worst = part[part != np.rint(part)][0]
                raise InputError(f"the mask {path} holds {worst:g}: probabilities? A mask holds whole numbers")
        if part.size and part.min() < 0:
            raise InputError(f"the mask {path} holds {part.min():g}; labels count from 0, 0 is background")
    return smallest_unsigned(array)
