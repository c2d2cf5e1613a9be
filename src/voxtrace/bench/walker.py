"""Random walker in a box (Grady, PAMI 2006), by scikit-image."""

from __future__ import annotations

import warnings

import numpy as np

from voxtrace.bench.baselines import ellipse
from voxtrace.bench.region import Region
from voxtrace.errors import MissingDependencyError
from voxtrace.prompts import Box

CORE = (
    0.7  # share of the box's sides: an ellipse in its middle is taken for inside; the best of 0.3, 0.5, 0.7 on "train"
)
BETA = 130  # scikit-image's own; 30 and 1000 were worse
OBJECT, OUTSIDE = 1, 2


def random_walker(frame: np.ndarray, box: Box) -> np.ndarray:
    """(H, W) bool: walkers from each pixel reach the box's middle before they reach its outside.

    frame: (H, W, 3) uint8. Raises MissingDependencyError without scikit-image.
    """
    try:
        from skimage.segmentation import random_walker as walk
    except ImportError:
        raise MissingDependencyError("scikit-image", "eval", "the random walker") from None
    shape = frame.shape[:2]
    region = Region.around(box, shape)
    core = ellipse(_core(box), shape)
    core[int((box.y0 + box.y1) / 2), int((box.x0 + box.x1) / 2)] = True
    seeds = np.where(region.in_box, 0, OUTSIDE)
    seeds[region.part(core)] = OBJECT
    if not {OBJECT, OUTSIDE, 0} <= set(np.unique(seeds)):  # the box is the frame, or a few pixels: nothing to walk
        return ellipse(box, shape)
    grey = region.part(frame).astype(float).mean(axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # probabilities off by 1e-3: the larger one is taken all the same
        return region.whole(walk(grey, seeds, beta=BETA, mode="cg_j", tol=1e-3) == OBJECT)


def _core(box: Box) -> Box:
    y, x = (box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2
    half_y, half_x = CORE * (box.y1 - box.y0) / 2, CORE * (box.x1 - box.x0) / 2
    return Box.on_slice(0, y - half_y, x - half_x, y + half_y, x + half_x)
