"""The standings of a challenge: several runs ranked, with how sure that is."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.bench.challenge.pairs import check_same_cases, differences
from voxtrace.bench.challenge.runs import OK, Run
from voxtrace.errors import InputError
from voxtrace.eval.ranking import Metric, Ranking, Rules, Stability, by_metric, rank, stability
from voxtrace.eval.significance import Significance, significance

METRICS = {"dsc": True, "nsd": True, "seconds": False, "peak_memory": False}  # name: whether more is better
DEFAULT_METRICS = {"dsc": 1.0, "nsd": 1.0, "seconds": 1.0}


@dataclass(frozen=True, slots=True)
class Standings:
    """All that is known of a competition. cases: of all runs; one that a run lacks is one it failed."""

    names: tuple[str, ...]
    cases: tuple[str, ...]
    metrics: tuple[Metric, ...]
    rules: Rules
    ranking: Ranking
    by_metric: Mapping[str, Ranking]
    stability: Stability
    significance: tuple[Significance, ...]
    failed: tuple[int, ...]
    alpha: float
    notes: tuple[str, ...]
    draws: int
    seed: int

    def table(self) -> list[dict[str, Any]]:
        """A row for each submission, from first to last. normalised: mean rank over the number of submissions."""
        rows = []
        for name in self.ranking.order:
            i = self.names.index(name)
            row = {
                "rank": int(self.ranking.ranks[i]),
                "submission": name,
                "score": float(self.ranking.scores[i]),
                "normalised": float(self.ranking.scores[i]) / len(self.names),
                "rank_low": int(self.stability.low[i]),
                "rank_high": int(self.stability.high[i]),
                "failed": self.failed[i],
            }
            for metric in self.metrics:
                row[f"{metric.name}_rank"] = int(self.by_metric[metric.name].ranks[i])
                row[metric.name] = _mean(metric, i)
            rows.append(row)
        return rows

    def to_json(self) -> dict[str, Any]:
        """Everything; matrices are in the order of `submissions`."""
        tau = self.stability.tau
        return {
            "submissions": list(self.names),
            "cases": len(self.cases),
            "rules": {
                "scheme": self.rules.scheme,
                "aggregate": self.rules.aggregate,
                "ties": self.rules.ties,
                "metrics": {metric.name: metric.weight for metric in self.metrics},
            },
            "table": self.table(),
            "stability": {
                "draws": self.draws,
                "seed": self.seed,
                "frequency": self.stability.frequency.tolist(),
                "kendall_tau": {"median": float(np.median(tau)), "low": _low(tau)} if len(tau) else None,
            },
            "alpha": self.alpha,
            "significance": {
                one.metric: {"p": one.p.tolist(), "better": one.better.tolist()} for one in self.significance
            },
            "notes": list(self.notes),
        }

    def csv(self) -> str:
        """The table as text."""
        text = io.StringIO()
        rows = self.table()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def standings(
    runs: Sequence[Run],
    weights: Mapping[str, float] | None = None,
    rules: Rules | None = None,
    draws: int = 1000,
    seed: int = 0,
    alpha: float = 0.05,
) -> Standings:
    """Rank the runs. weights: {metric: weight}. Raises InputError if they cannot stand in one table."""
    rules, runs = rules or Rules(), list(runs)
    check_same_cases(runs)
    names = unique_names(runs)
    cases = tuple(sorted({row.case for run in runs for row in run.rows}))
    metrics = tuple(_metric(name, weight, runs, cases) for name, weight in (weights or DEFAULT_METRICS).items())
    ok = [sum(row.status == OK for row in run.rows) for run in runs]
    return Standings(
        names,
        cases,
        metrics,
        rules,
        rank(names, metrics, rules),
        by_metric(names, metrics, rules),
        stability(names, metrics, rules, draws, seed),
        tuple(significance(metric, alpha) for metric in metrics),
        tuple(len(cases) - count for count in ok),
        alpha,
        tuple(differences(runs)),
        draws,
        seed,
    )


def unique_names(runs: Sequence[Run]) -> tuple[str, ...]:
    """The submissions' names; runs of one name are told apart by their folders'."""
    names = [run.name for run in runs]
    return tuple(f"{n} ({r.folder.name})" if names.count(n) > 1 else n for n, r in zip(names, runs, strict=True))


def parse_metrics(words: Sequence[str]) -> dict[str, float]:
    """["dsc", "seconds=0.5"] -> {"dsc": 1, "seconds": 0.5}. Raises InputError."""
    found: dict[str, float] = {}
    for word in words:
        name, equals, weight = word.partition("=")
        try:
            value = float(weight) if equals else 1.0
        except ValueError:
            value = -1.0
        if name not in METRICS or not 0 < value < float("inf"):
            raise InputError(f"--metrics {word} is not understood; NAME or NAME=WEIGHT of {', '.join(METRICS)}")
        found[name] = value
    return found


def _metric(name: str, weight: float, runs: Sequence[Run], cases: Sequence[str]) -> Metric:
    """Values only of cases that are ok: who fails is the last in each column, its time too."""
    values = np.full((len(runs), len(cases)), np.nan)
    place = {case: column for column, case in enumerate(cases)}
    for i, run in enumerate(runs):
        for row in run.rows:
            value = getattr(row, name)
            if row.status == OK and value is None:
                raise InputError(f"{run.folder}: {row.case} has no {name}; leave {name} out of --metrics")
            if row.status == OK:
                values[i, place[row.case]] = value
    limits = [run.settings["limits"] for run in runs]
    worst = {"seconds": max(one["seconds"] for one in limits), "peak_memory": max(one["memory"] for one in limits)}
    return Metric(name, values, METRICS[name], float(worst.get(name, 0.0)), weight)


def _mean(metric: Metric, i: int) -> float | None:
    """Overlaps: over all cases, 0 for failed ones. Time and memory: over those that are ok."""
    values = metric.values[i]
    if metric.higher_is_better:
        return float(np.where(np.isnan(values), metric.worst, values).mean())
    return float(np.nanmean(values)) if not np.isnan(values).all() else None


def _low(tau: np.ndarray) -> float:
    return float(np.percentile(tau, 2.5))
