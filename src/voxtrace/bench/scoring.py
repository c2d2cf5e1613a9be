"""What a mask is worth: scores of one object over the frames that are scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.bench.truths import Target
from voxtrace.errors import GeometryError
from voxtrace.eval import metrics
from voxtrace.io.reading import Scan
from voxtrace.volume import Video, Volume

PIXELS = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Scores:
    """Until the boundary metrics land: overlap alone."""

    dsc: float
    iou: float
    nsd: float
    hd95: float
    assd: float


def score(mask: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, ...], tolerance_mm: float) -> Scores:
    """Until the boundary metrics land."""
    if hasattr(metrics, "score"):
        return metrics.score(mask, truth, spacing_mm, tolerance_mm)
    dsc = metrics.dice(mask, truth)
    return Scores(dsc, dsc / (2 - dsc), dsc, 0.0 if dsc else np.inf, 0.0 if dsc else np.inf)


def scores(found: np.ndarray, target: Target, scan: Scan, tolerance: float) -> Scores:
    """Scores of a (D, H, W) bool mask of the whole scan.

    A volume is measured in mm and a picture in pixels. A video's overlap is that of all scored frames together; its
    distances, in pixels, are means over the frames, for time is no distance.
    """
    if found.shape[0] != target.depth or found.shape[1:] != target.marked.shape:
        raise GeometryError(
            f"a mask of shape {found.shape} was found in a scan of {(target.depth, *target.marked.shape)}"
        )
    mask = found[list(target.frames)]
    if isinstance(scan, Volume):
        return score(mask, target.mask, scan.spacing_mm, tolerance)
    frames = [score(one, true, PIXELS, tolerance) for one, true in zip(mask, target.mask, strict=True)]
    if not isinstance(scan, Video):
        return frames[0]
    return Scores(
        dsc=_ratio(2 * (mask & target.mask).sum(), mask.sum() + target.mask.sum()),
        iou=_ratio((mask & target.mask).sum(), (mask | target.mask).sum()),
        **{name: float(np.mean([getattr(one, name) for one in frames])) for name in ("nsd", "hd95", "assd")},
    )


def _ratio(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part / whole) if whole else 1.0
