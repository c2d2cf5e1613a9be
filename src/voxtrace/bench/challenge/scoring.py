"""The challenge's own score of a case: mean DSC and NSD over the reference's objects.

NSD at 2 mm, and 0 where the mean DSC is not above 0.2. A picture is scored as a slab of one slice with spacing 1, whose
inside is surface too: its NSD is higher than that of the outline, and comparable with the challenge's figures only.
Three defects of the published script are not repeated: spacing is taken in array order, labels that the reference skips
do not count, and label 255 does not overflow. Labels that only the prediction has are ignored, as there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.eval.metrics import TOLERANCE_MM, score_labels

LEAST_DSC = 0.2


@dataclass(frozen=True, slots=True)
class CaseScore:
    """Means over the objects, 0..1."""

    dsc: float
    nsd: float


def score_case(
    labels: np.ndarray,
    truth: np.ndarray,
    spacing_zyx_mm: tuple[float, ...] | None = None,
    tolerance_mm: float = TOLERANCE_MM,
) -> CaseScore:
    """labels, truth: (D, H, W) or (H, W) of one shape; 0 is background. spacing None: 1 mm. An empty reference asks
    for an empty mask."""
    volume, reference = (array if array.ndim == 3 else array[None] for array in (labels, truth))
    spacing = spacing_zyx_mm if spacing_zyx_mm is not None and truth.ndim == 3 else (1.0, 1.0, 1.0)
    objects = [int(value) for value in np.unique(reference) if value > 0]
    if not objects:
        empty = float(not (volume > 0).any())
        return CaseScore(empty, empty)
    scores = score_labels(volume, reference, spacing, tolerance_mm, objects).values()
    dsc = float(np.mean([one.dsc for one in scores]))
    nsd = float(np.mean([one.nsd for one in scores])) if dsc > LEAST_DSC else 0.0
    return CaseScore(dsc, nsd)
