"""How far a mean may be off: the mean over sets, with an interval from drawing patients again.

Patients are drawn, not cases: the images of one patient resemble each other, and counted as many they would make the
interval too narrow. They are drawn from all sets of the figure together, so that a set of one patient, which tells
nothing of its own spread, is at times left out; were each set drawn from alone, a mean over such sets would look exact.
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
    mean over `draws` samples of as many patients, drawn with replacement.
    """
    people, who = np.unique(list(zip(sets, patients, strict=True)), axis=0, return_inverse=True)
    _, where = np.unique(people[:, 0], return_inverse=True)
    total = np.bincount(who.ravel(), np.asarray(values, float))
    count = np.bincount(who.ravel()).astype(float)
    drawn = np.random.default_rng(seed).multinomial(len(people), np.full(len(people), 1 / len(people)), size=draws)
    member = np.eye(where.max() + 1)[where.ravel()]
    mean = _over_sets(np.ones((1, len(people))), total, count, member)[0]
    edge = (1 - LEVEL) / 2 * 100
    low, high = np.percentile(_over_sets(drawn, total, count, member), [edge, 100 - edge])
    return Figure(float(mean), float(low), float(high), len(people))


def _over_sets(times: np.ndarray, total: np.ndarray, count: np.ndarray, member: np.ndarray) -> np.ndarray:
    """(B,) means over the sets that were drawn. times: (B, P) how often each patient counts; member: (P, S) 0 or 1."""
    cases = (times * count) @ member
    sums = (times * total) @ member
    means = np.divide(sums, cases, out=np.zeros_like(sums), where=cases > 0)
    return means.sum(1) / (cases > 0).sum(1)
