"""What needs no net: the ellipse in a box."""

from __future__ import annotations

import numpy as np

from voxtrace.prompts import Box


def ellipse(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the ellipse inscribed in a box on a frame; pixel centres decide."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    across = (y + 0.5 - (box.y0 + box.y1) / 2) / ((box.y1 - box.y0) / 2)
    along = (x + 0.5 - (box.x0 + box.x1) / 2) / ((box.x1 - box.x0) / 2)
    return across**2 + along**2 <= 1
