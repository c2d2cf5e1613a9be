"""What a mask is worth: scores of one object over the frames that are scored."""

from __future__ import annotations

import math

import numpy as np

from voxtrace.bench.truths import Target
from voxtrace.errors import GeometryError
from voxtrace.eval.metrics import Scores, dice, iou, score
from voxtrace.io.reading import Scan
from voxtrace.volume import Video, Volume

PIXELS = (1.0, 1.0)
NOTHING = Scores(dsc=0.0, iou=0.0, nsd=0.0, hd95=math.inf, assd=math.inf, hd=math.inf)


def scores(found: np.ndarray, target: Target, scan: Scan, tolerance: float) -> Scores:
    """Scores of a (D, H, W) bool mask of the whole scan.

    A volume is measured in mm and a picture in pixels. A video's overlap is that of all scored frames together; its
    distances, in pixels, are means over the frames, for time is no distance.
    """
    expected = (target.depth, *target.marked.shape)
    if found.shape != expected:
        raise GeometryError(f"a mask of shape {found.shape} was found in a scan of {expected}")
    mask = found[list(target.frames)]
    if isinstance(scan, Volume):
        return score(mask, target.mask, scan.spacing_mm, tolerance)
    frames = [score(one, true, PIXELS, tolerance) for one, true in zip(mask, target.mask, strict=True)]
    if not isinstance(scan, Video):
        return frames[0]
    means = {name: float(np.mean([getattr(one, name) for one in frames])) for name in ("nsd", "hd95", "assd", "hd")}
    return Scores(dsc=dice(mask, target.mask), iou=iou(mask, target.mask), **means)
