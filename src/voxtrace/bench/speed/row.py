"""One row of the table: ours beside a reference, with the floor, the goal, and where the time went."""

from __future__ import annotations

from typing import Any

from voxtrace.bench.speed.goals import GOALS
from voxtrace.bench.speed.operations import Operations
from voxtrace.bench.speed.turns import Taken
from voxtrace.bench.speed.work import mean_iou

TYPE_OF = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
Row = dict[str, Any]


def row_of(
    rates: dict[str, float],
    row: str,
    work: str,
    ours: Taken,
    reference: str | None,
    theirs: Taken | None,
    giga: float,
    alike: bool = False,
    counted: Operations | None = None,
) -> Row:
    """rates: as `matrix_rates`. row: a key of GOALS. giga: billions of operations, for the floor. alike: both sides
    have the same weights, so the masks are to be the same. counted: for the share of the rate that a verb attained."""
    rate = rates[TYPE_OF[ours.about["precision"]]]
    ratio = None if theirs is None else round(theirs.best / ours.best, 2)
    iou = None
    if alike and theirs is not None and ours.masks is not None and theirs.masks is not None:
        iou = round(mean_iou(ours.masks, theirs.masks), 4)
    made: Row = {
        "row": row,
        "work": work,
        "engine": f"{ours.about['engine']} {ours.about['precision']}",
        "ours_s": round(ours.best, 4),
        "reference": reference,
        "reference_s": None if theirs is None else round(theirs.best, 4),
        "ratio": ratio,
        "iou": iou,
        "floor_s": round(giga / rate, 4),
        "goal": str(GOALS[row]),
        "reached": GOALS[row].reached(ratio, ours.best, iou),
    }
    return made | ({"profile": profile(ours, counted, rate)} if counted and ours.parts else {})


def profile(ours: Taken, counted: Operations, rate: float) -> list[Row]:
    """Where a run's time went, and which share of the rate each verb attained: near 1 there is nothing to gain but by a
    smaller type of number or less work. Verbs may overlap: the next slice is encoded while one is followed. A share may
    pass 1 where the bank was not full yet, or several objects share a part."""
    return [
        {
            "part": verb,
            "done": int(part["done"]),
            "seconds": round(part["seconds"], 3),
            "gflop": round(part["done"] * getattr(counted, verb), 1),
            "share_of_rate": round(part["done"] * getattr(counted, verb) / part["seconds"] / rate, 3),
        }
        for verb, part in ours.parts.items()
    ]
