"""What needs no net: an ellipse in the box, and one slice's mask carried through a volume."""

from __future__ import annotations

import numpy as np

from voxtrace.prompts import Box


def ellipse(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the ellipse inscribed in a box on a frame; pixel centres decide."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    across = (y + 0.5 - (box.y0 + box.y1) / 2) / ((box.y1 - box.y0) / 2)
    along = (x + 0.5 - (box.x0 + box.x1) / 2) / ((box.x1 - box.x0) / 2)
    return across**2 + along**2 <= 1


def carried(mask: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(D, H, W) bool: an (H, W) mask on every slice of the truth's z range. The range is knowledge of the truth."""
    present = np.flatnonzero(truth.any((1, 2)))
    out = np.zeros(truth.shape, bool)
    out[present[0] : present[-1] + 1] = mask
    return out
