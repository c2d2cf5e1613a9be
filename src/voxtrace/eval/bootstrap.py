"""How far a mean may be off: the mean over sets, with an interval from drawing patients again.

Patients are drawn, not cases: the images of one patient resemble each other, and counted as many they would make the
interval too narrow. They are drawn from all sets together, each with the weight that it has in the mean over sets (the
smaller its set, the larger). Were each set drawn from alone, one with a single patient would seem to be known exactly,
and a mean over such sets as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

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
    pairs = list(zip(sets, patients, strict=True))
    numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    who = [numbers[pair] for pair in pairs]
    sizes = Counter(sets)
    weight = np.array([1 / sizes[name] for name in sets])  # of a case: every set weighs 1
    total = np.bincount(who, weight * np.asarray(values, float))
    share = np.bincount(who, weight)
    mean = float(total.sum() / share.sum())
    if len(numbers) == 1:
        return Figure(mean, mean, mean, 1)
    drawn = _drawn(len(numbers), seed, draws)
    edge = (1 - LEVEL) / 2 * 100
    low, high = np.percentile((drawn @ total) / (drawn @ share), [edge, 100 - edge])
    return Figure(mean, float(low), float(high), len(numbers))


@lru_cache(maxsize=4)  # one after the other the figures of a table are of the same patients
def _drawn(people: int, seed: int, draws: int) -> np.ndarray:
    """(draws, people) int: how often each is in each sample."""
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), size=draws)
    drawn.flags.writeable = False
    return drawn
