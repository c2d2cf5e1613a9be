"""Overlap of masks. Boundary distances and instance scores join in their own issue."""

from __future__ import annotations

import numpy as np


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient of two boolean arrays of equal shape, 0..1. Both empty is 1, one empty is 0."""
    total = np.count_nonzero(mask) + np.count_nonzero(truth)
    return 1.0 if total == 0 else 2 * np.count_nonzero(mask & truth) / total
