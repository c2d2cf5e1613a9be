"""Which objects can be told from what is around them."""

from __future__ import annotations

import numpy as np

CONTRAST = 8.0  # grey levels of 255, between an object's mean and that of its surroundings
NOISE_SHARE = 0.6  # of the deviation within the object that the contrast must reach
RIM = 2  # pixels from a border to where its other side is looked at


def visible(frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(labels.max() + 1,) bool: whether a label's mean differs enough from its rim's, in any channel.

    frames: (D, H, W) or (D, H, W, C) uint8; labels: (D, H, W). The rim lies RIM pixels beyond the border, in the plane.
    """
    count = int(labels.max()) + 1
    pictures = frames if frames.ndim == 4 else frames[..., None]
    seen = np.zeros(count, bool)
    for channel in range(pictures.shape[-1]):
        grey = pictures[..., channel]
        mean, deviation = _inside(grey, labels, count)
        rim, number = _around(grey, labels, count)
        apart = np.abs(mean - rim / np.maximum(number, 1))
        seen |= (apart >= CONTRAST) & (apart >= NOISE_SHARE * deviation) & (number > 0)
    seen[0] = False
    return seen


def _inside(grey: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each label."""
    drawn = labels > 0
    values, of = grey[drawn].astype(np.float64), labels[drawn]
    number = np.maximum(np.bincount(of, minlength=count), 1)
    mean = np.bincount(of, values, count) / number
    square = np.bincount(of, values**2, count) / number
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _around(grey: np.ndarray, labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the grey values that each label sees RIM pixels beyond its border."""
    total, number = np.zeros(count), np.zeros(count)
    for axis in (1, 2):
        if labels.shape[axis] <= RIM:
            continue
        near = tuple(slice(None, -RIM) if a == axis else slice(None) for a in range(3))
        far = tuple(slice(RIM, None) if a == axis else slice(None) for a in range(3))
        for here, there in ((near, far), (far, near)):
            own = labels[here]
            border = (own > 0) & (own != labels[there])
            of = own[border]
            total += np.bincount(of, grey[there][border], count)
            number += np.bincount(of, minlength=count)
    return total, number
