"""Which algorithm is better than which, beyond chance: paired tests on the cases, corrected for their number.

The significance map is as in Wiesenfarth et al., "Methods and open-source toolkit for analyzing and visualizing
challenge results", 2021: one-sided Wilcoxon signed rank tests of all ordered pairs, adjusted by Holm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are brought in when used: scipy.stats takes half a second

from voxtrace.eval.ranking import Metric

MOST_TIED, MOST_UNTIED = 13, 50  # differences, for an exact test


@dataclass(frozen=True, slots=True)
class Significance:
    """p: (A, A) one-sided Wilcoxon signed rank tests that the row is better than the column, Holm-adjusted over all
    pairs of the metric; 1 on the diagonal. better: p < alpha."""

    metric: str
    p: np.ndarray
    better: np.ndarray


def significance(metric: Metric, alpha: float = 0.05) -> Significance:
    """The significance map of one metric; a missing value is the worst one."""
    filled = np.where(np.isnan(metric.values), metric.worst, metric.values)
    signed = filled if metric.higher_is_better else -filled
    count = len(signed)
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b]
    adjusted = holm([signed_rank_p(signed[a] - signed[b]) for a, b in pairs])
    p = np.ones((count, count))
    for (a, b), value in zip(pairs, adjusted, strict=True):
        p[a, b] = value
    return Significance(metric.name, p, p < alpha)


def signed_rank_p(differences: np.ndarray) -> float:
    """One-sided Wilcoxon signed rank test that the differences are above 0. Zeros are left out; none left is 1.

    Exact for up to 50 differences, or up to 13 if some are equally large; else the normal approximation. These are
    scipy's own choices, but it tries all 2^13 signs one by one, which takes a second; here they are counted.
    """
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 1.0
    tied = len(np.unique(np.abs(nonzero))) < len(nonzero)
    if tied and len(nonzero) <= MOST_TIED:
        return _counted(nonzero)
    method = "exact" if not tied and len(nonzero) <= MOST_UNTIED else "asymptotic"
    return float(scipy.stats.wilcoxon(nonzero, alternative="greater", method=method).pvalue)


def _counted(nonzero: np.ndarray) -> float:
    """The share of all ways of giving signs to the ranks whose sum above 0 is at least the one found."""
    ranks = np.rint(2 * scipy.stats.rankdata(np.abs(nonzero))).astype(int)  # twice: those of ties may be halves
    ways = np.ones(1)  # of reaching each sum with the ranks so far
    for rank in ranks:
        without, ways = ways, np.zeros(len(ways) + rank)
        ways[: len(without)] += without
        ways[rank:] += without
    return float(ways[ranks[nonzero > 0].sum() :].sum() / ways.sum())


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values adjusted by Holm's step-down method, in the order given."""
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    steps = np.arange(len(values), 0, -1)
    rising = np.maximum.accumulate(values[order] * steps)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(rising, 1.0)
    return adjusted
