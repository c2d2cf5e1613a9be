"""How far a mean may be off: the mean over sets, with an interval from drawing patients again.

Patients are drawn, not cases: the images of one patient resemble each other, and counted as many they would make the
interval too narrow. They are drawn from all sets together, each with the weight that it has in the mean over sets (the
smaller its set, the larger). Were each set drawn from alone, one with a single patient would seem to be known exactly,
and a mean over such sets as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SEED = 0
DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean with its 95 % interval. n: patients. With n = 1 the interval has no width, which says nothing."""

    mean: float
    low: float
    high: float
    n: int


def figure(
    values: Sequence[float], sets: Sequence[str], patients: Sequence[str], *, seed: int = SEED, draws: int = DRAWS
) -> Figure:
    """The mean over sets of the mean over cases, of one value a case.

    sets, patients: of each case; a patient's name counts within the set. The interval is the middle 95 % of the same
    weighted mean over `draws` samples of as many patients, drawn with replacement.
    """
    people, who = np.unique(list(zip(sets, patients, strict=True)), axis=0, return_inverse=True)
    _, where, sizes = np.unique(list(sets), return_inverse=True, return_counts=True)
    weight = 1 / sizes[where.ravel()]  # of a case: every set weighs 1
    total = np.bincount(who.ravel(), weight * np.asarray(values, float))
    share = np.bincount(who.ravel(), weight)
    drawn = np.random.default_rng(seed).multinomial(len(people), np.full(len(people), 1 / len(people)), size=draws)
    edge = (1 - LEVEL) / 2 * 100
    low, high = np.percentile((drawn @ total) / (drawn @ share), [edge, 100 - edge])
    return Figure(float(total.sum() / share.sum()), float(low), float(high), len(people))
