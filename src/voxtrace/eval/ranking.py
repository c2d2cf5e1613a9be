"""Rank algorithms over cases, and say how far the ranking can be trusted.

Rank, then aggregate: on every case and metric the algorithms are ranked; an algorithm's score is the mean of its ranks,
the smallest wins. It is the rule of the FLARE challenges, whose organisers held the laptop challenge of 2024 (its own
text was not found), and it lets metrics of different units count alike. Rank stability by bootstrap is as in
Wiesenfarth et al., "Methods and open-source toolkit for analyzing and visualizing challenge results", 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # its parts are brought in when used: scipy.stats takes half a second

from voxtrace.errors import InputError

Ties = Literal["average", "min", "max", "dense"]
Aggregate = Literal["mean", "median"]
Scheme = Literal["rank-then-aggregate", "aggregate-then-rank"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of the table. values: (A, C) float, algorithms by cases; NaN: the algorithm has no result there.

    worst: stands for a missing value where values and not ranks are needed.
    """

    name: str
    values: np.ndarray
    higher_is_better: bool
    worst: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How ranks are made. ties: as scipy's rankdata, for equal values on one case. aggregate: over the cases; the
    metrics of one case are always averaged by weight.
    """

    scheme: Scheme = "rank-then-aggregate"
    aggregate: Aggregate = "mean"
    ties: Ties = "average"


@dataclass(frozen=True, slots=True)
class Ranking:
    """scores: (A,) float, the smaller the better; ranks: (A,) int from 1, equal scores share the smaller number."""

    algorithms: tuple[str, ...]
    scores: np.ndarray
    ranks: np.ndarray

    @property
    def order(self) -> list[str]:
        """The algorithms from first to last; equal ones as they were given."""
        return [self.algorithms[i] for i in np.argsort(self.ranks, kind="stable")]


@dataclass(frozen=True, slots=True)
class Stability:
    """Rankings of cases drawn again with replacement.

    frequency: (A, A) how often (0..1) algorithm a has rank r + 1. low, high: (A,) the middle 95 % of its ranks.
    tau: (B,) Kendall's tau-b of each drawn ranking with the whole one; where all are equal there is none, and it is
    left out.
    """

    frequency: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tau: np.ndarray


def case_ranks(metric: Metric, ties: Ties = "average") -> np.ndarray:
    """(A, C) float: 1 is the best of each case. Who has no result is last, A, however many others have none."""
    keys = -metric.values if metric.higher_is_better else metric.values
    missing = np.isnan(keys)
    ranks = scipy.stats.rankdata(np.where(missing, np.inf, keys), method=ties, axis=0).astype(float)
    return np.where(missing, float(len(keys)), ranks)


def rank(algorithms: Sequence[str], metrics: Sequence[Metric], rules: Rules | None = None) -> Ranking:
    """The ranking over all cases. Raises InputError for a table that does not fit the names."""
    rules = rules or Rules()
    _check(algorithms, metrics)
    values, weights = _ingredients(metrics, rules)
    score = _score(values, weights, np.arange(values.shape[2])[None], rules)[0]
    return Ranking(tuple(algorithms), score, _places(score))


def stability(
    algorithms: Sequence[str], metrics: Sequence[Metric], rules: Rules | None = None, draws: int = 1000, seed: int = 0
) -> Stability:
    """How the ranking changes when the cases are drawn again. All metrics of a case are drawn together."""
    rules = rules or Rules()
    whole = rank(algorithms, metrics, rules)
    values, weights = _ingredients(metrics, rules)
    count = values.shape[2]
    drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
    ranks = _places(_score(values, weights, drawn, rules))
    frequency = np.stack([(ranks == place).mean(0) for place in range(1, len(algorithms) + 1)], axis=1)
    low, high = np.percentile(ranks, [2.5, 97.5], axis=0, method="nearest")
    return Stability(frequency, low.astype(int), high.astype(int), _kendall(whole.ranks, ranks))


def by_metric(
    algorithms: Sequence[str], metrics: Sequence[Metric], rules: Rules | None = None
) -> Mapping[str, Ranking]:
    """The ranking by each metric alone."""
    return {metric.name: rank(algorithms, [metric], rules) for metric in metrics}


def _ingredients(metrics: Sequence[Metric], rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """(M, A, C) ranks, or values whose smaller is better; (M,) weights that sum to 1."""
    weights = np.array([metric.weight for metric in metrics], float)
    if rules.scheme == "rank-then-aggregate":
        parts = [case_ranks(metric, rules.ties) for metric in metrics]
    else:
        parts = [np.where(np.isnan(m.values), m.worst, m.values) * (-1 if m.higher_is_better else 1) for m in metrics]
    return np.stack(parts), weights / weights.sum()


def _score(values: np.ndarray, weights: np.ndarray, drawn: np.ndarray, rules: Rules) -> np.ndarray:
    """(B, A) scores over the drawn cases (B, C)."""
    if rules.scheme == "rank-then-aggregate":
        mixed = np.tensordot(weights, values, 1)
        return np.stack([_middle(mixed[:, cases], rules) for cases in drawn])
    scores = []
    for cases in drawn:
        places = [scipy.stats.rankdata(_rounded(_middle(part[:, cases], rules)), method=rules.ties) for part in values]
        scores.append(weights @ np.stack(places))
    return np.stack(scores)


def _middle(values: np.ndarray, rules: Rules) -> np.ndarray:
    return values.mean(-1) if rules.aggregate == "mean" else np.median(values, -1)


def _places(score: np.ndarray) -> np.ndarray:
    return scipy.stats.rankdata(_rounded(score), method="min", axis=-1).astype(int)


def _rounded(score: np.ndarray) -> np.ndarray:
    """Equal sums in another order differ by rounding; that must not settle a place."""
    return np.round(score, 9)


def _kendall(whole: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    kinds, which = np.unique(ranks, axis=0, return_inverse=True)
    unlike = [len(set(one.tolist())) > 1 < len(set(whole.tolist())) for one in kinds]
    taus = [
        scipy.stats.kendalltau(whole, one).statistic if good else np.nan
        for one, good in zip(kinds, unlike, strict=True)
    ]
    drawn = np.array(taus)[which.ravel()]
    return drawn[~np.isnan(drawn)]


def _check(algorithms: Sequence[str], metrics: Sequence[Metric]) -> None:
    if not metrics or sum(metric.weight for metric in metrics) <= 0:
        raise InputError("a ranking needs at least one metric with a weight above 0")
    if len(set(algorithms)) < len(algorithms):
        twice = next(name for name in algorithms if list(algorithms).count(name) > 1)
        raise InputError(f"two algorithms are called {twice!r}; give them different names")
    shapes = {metric.values.shape for metric in metrics}
    if len(shapes) > 1 or next(iter(shapes))[0] != len(algorithms) or 0 in next(iter(shapes)):
        raise InputError(
            f"tables of shape {sorted(shapes)} do not fit {len(algorithms)} algorithms and one set of cases"
        )
