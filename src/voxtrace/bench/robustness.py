"""How much a model loses when its prompts are not ideal: boxes off, clicks off, clicks of the wrong sign.

An evaluation with one prompt a level; the marks of one object are moved the same way at every level, only farther.
Writes what `evaluate` writes, and robustness.csv with a curve for each model and kind of fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxtrace.bench.asking import parse_way
from voxtrace.bench.evaluate import Outcome, Tell, evaluate
from voxtrace.bench.files import write_json, write_text
from voxtrace.bench.interactive import table
from voxtrace.bench.plan import Plan
from voxtrace.eval.results import Row
from voxtrace.eval.summary import summaries

WHAT = "robustness"
LEVELS = {
    "box-jitter": (0.0, 0.05, 0.1, 0.15, 0.2),  # of the box's size, each side
    "click-jitter": (0.0, 1.0, 3.0, 5.0, 10.0),  # pixels
    "wrong-clicks": (0.0, 0.05, 0.1, 0.2),  # of five clicks, the first always right
}


def robustness(
    plan: Plan,
    out: Path,
    tell: Tell | None = None,
    *,
    faults: Sequence[str] = tuple(LEVELS),
    command: Sequence[str] = (),
) -> Outcome:
    """Measure every level of these faults. The plan's own prompts play no part. Raises as `evaluate` does."""
    prompts = tuple(f"{fault}:{level:g}" for fault in faults for level in LEVELS[fault])
    outcome = evaluate(replace(plan, prompts=prompts), out, tell, command=command, what=WHAT)
    found = curves(outcome.rows, plan.seed)
    write_json(out / f"{WHAT}.json", found)
    write_text(out / f"{WHAT}.csv", table(found, COLUMNS))
    return outcome


COLUMNS = ("model", "z_range", "fault", "level", "kind", "dsc", "low", "high", "n", "lost")


def curves(rows: Sequence[Row], seed: int) -> list[dict[str, Any]]:
    """A point for each model, fault, level and kind of case ("overall" first): mean DSC with its interval, and what is
    lost against the level 0."""
    points, ideal = [], {}
    for one in summaries(rows, ("dsc",), seed=seed):
        way = parse_way(one["prompt"])
        for kind, figures in {"overall": one["overall"], **one["by_kind"]}.items():
            curve = (one["model"], one["z_range"], way.kind, kind)
            dsc = figures["dsc"]
            if way.amount == 0:
                ideal[curve] = dsc["mean"]
            values = (*curve[:3], way.amount, kind, dsc["mean"], dsc["low"], dsc["high"], dsc["n"])
            points.append(dict(zip(COLUMNS, (*values, round(ideal[curve] - dsc["mean"], 6)), strict=True)))
    return points
