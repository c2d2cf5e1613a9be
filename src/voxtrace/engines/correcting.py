"""What a correcting click may change: only what hangs together with it.

A hinted net redraws the whole mask whenever it is asked. A person who clicks one error has looked at the rest and left
it as it is, so the rest stays; and what was clicked is as it was clicked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxtrace.lazily import Lazily

if TYPE_CHECKING:
    from scipy import ndimage
else:
    ndimage = Lazily("scipy.ndimage")

CLICK_RADIUS = 0.03  # of the image's side, as in model/sketch.py
TOUCHING = np.ones((3, 3))  # over edges and corners


def clicks(points_xy: np.ndarray, labels: np.ndarray, image_size: int, size: int) -> np.ndarray:
    """(N, 1, size, size) float32: 1 in the discs of positive clicks, -1 in those of negative ones, else 0.

    points_xy (N, P, 2) in image pixels, 0 = centre of the first; labels (N, P): 1 positive, 0 negative, others none.
    """
    places = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / size
    unit = (points_xy.astype(np.float32) + np.float32(0.5)) / image_size
    x, y = unit[..., 0, None, None], unit[..., 1, None, None]
    near = (places[:, None] - y) ** 2 + (places - x) ** 2 < CLICK_RADIUS**2
    positive, negative = ((near & (labels == kind)[..., None, None]).any(1, keepdims=True) for kind in (1, 0))
    return np.where(negative, -1.0, positive).astype(np.float32)


def near_clicks(logits: np.ndarray, known: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """The logits (N, 1, S, S) with those changes against `known` taken back that no click of their kind touches.

    known (N, 1, S, S): the mask's logits before; clicked: as `clicks` draws it. A pixel that is taken back keeps its
    certainty and changes its side.
    """
    before = known > 0
    changed = (logits > 0) != before
    touched = changed & np.where(before, clicked < 0, clicked > 0)
    refused = changed & ~_connected(changed, touched)
    logits = np.where(refused, -logits, logits)
    # A logit of 0 is outside, and so is a pixel whose side was changed from it.
    logits = np.where(refused & before & (logits <= 0), np.float32(1e-3), logits)
    return np.where(clicked != 0, clicked * np.maximum(np.abs(logits), 1.0), logits).astype(np.float32)


def _connected(region: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """All of `region` that hangs together with a seed; bool maps (N, 1, S, S)."""
    kept = np.zeros_like(region)
    for index in range(len(region)):
        pieces, _ = ndimage.label(region[index, 0], TOUCHING)
        kept[index, 0] = region[index, 0] & np.isin(pieces, pieces[seeds[index, 0]])
    return kept
