"""A booster round: what a submission gained from the lessons of the first one, before and after on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from voxtrace.bench.challenge.pairs import Pair, differences, pair_up
from voxtrace.bench.challenge.runs import OK, CaseRow, Run
from voxtrace.errors import InputError
from voxtrace.eval.bootstrap import Figure, figure
from voxtrace.eval.significance import signed_rank_p

Both = Sequence[tuple[CaseRow, CaseRow]]  # the rows of a case, before and after
EQUAL = 1e-6  # changes no larger are none


@dataclass(frozen=True, slots=True)
class Change:
    """One metric, after minus before, over the cases of both runs; a failed case counts 0.

    mean: with its 95 % interval. p_gain, p_loss: one-sided Wilcoxon signed rank tests that it became better, worse.
    """

    metric: str
    before: float
    after: float
    mean: Figure
    better: int
    equal: int
    worse: int
    p_gain: float
    p_loss: float


@dataclass(frozen=True, slots=True)
class Boost:
    """What changed. speed_up: how many times faster, the geometric mean over cases that are ok in both; None for none.

    mended, broken: cases that failed before and do not now, and the other way round.
    """

    changes: tuple[Change, ...]
    by_modality: dict[str, tuple[Change, ...]]
    speed_up: float | None
    mended: tuple[str, ...]
    broken: tuple[str, ...]
    cases: tuple[Pair, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything; a case's rows as they are in the runs."""
        return asdict(self)


def compare(before: Run, after: Run) -> Boost:
    """The change from one run to another. Raises InputError if their cases differ or have no reference."""
    every = pair_up(before, after)
    both = [(pair.first, pair.second) for pair in every if pair.first and pair.second]
    notes = differences([before, after])
    if len(both) < len(every):
        notes.append(f"{len(every) - len(both)} of {len(every)} cases were run only once and are left out")
    modalities = sorted({a.modality for a, _ in both if a.modality})
    return Boost(
        _changes(both),
        {name: _changes([(a, b) for a, b in both if a.modality == name]) for name in modalities},
        _speed_up(both),
        tuple(a.case for a, b in both if a.status != OK == b.status),
        tuple(a.case for a, b in both if a.status == OK != b.status),
        tuple(every),
        tuple(notes),
    )


def _changes(both: Both) -> tuple[Change, ...]:
    return tuple(_change(both, metric) for metric in ("dsc", "nsd"))


def _change(both: Both, metric: str) -> Change:
    old, new = (np.array([_value(rows[i], metric) for rows in both]) for i in (0, 1))
    gain = np.where(np.abs(new - old) <= EQUAL, 0.0, new - old)
    return Change(
        metric,
        float(old.mean()),
        float(new.mean()),
        figure(gain.tolist(), [""] * len(gain), [a.case for a, _ in both]),
        int((gain > 0).sum()),
        int((gain == 0).sum()),
        int((gain < 0).sum()),
        signed_rank_p(gain),
        signed_rank_p(-gain),
    )


def _value(row: CaseRow, metric: str) -> float:
    value = getattr(row, metric)
    if value is None:
        raise InputError(f"{row.case} has no reference, so no {metric.upper()}; run the challenge with --truth")
    return float(value)


def _speed_up(both: Both) -> float | None:
    times = [(a.seconds, b.seconds) for a, b in both if a.status == b.status == OK]
    return float(np.exp(np.mean([np.log(max(a, 1e-3) / max(b, 1e-3)) for a, b in times]))) if times else None
