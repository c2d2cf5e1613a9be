"""What the embedded weights are trained for, as figures: each task of the training, measured on held-out patients and
set beside the goal it has.

Writes goals.json, goals.md, and a folder for each task with all its rows and its lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxtrace.bench.asking import ONE_PROMPT
from voxtrace.bench.evaluate import Tell, evaluate
from voxtrace.bench.files import write_json, write_text
from voxtrace.bench.interactive import interactive
from voxtrace.bench.lock import machine, versions
from voxtrace.bench.plan import Plan
from voxtrace.errors import CaseMissingError
from voxtrace.eval.results import Row
from voxtrace.eval.summary import summaries

NOT_BLOBS = ("fundus__drive_vessels",)  # a box or a click says nothing about a tree of vessels
CELLS, NUCLEUS = "microscopy__wbc_jtsc", 2
MEMORIES = ("self-sorting", "fifo", "none")


@dataclass(frozen=True, slots=True)
class Task:
    """A figure to reach. name: of its folder. asks: the plan's fields that are its own. contender: model (or "" for the
    one under test) and prompt whose figure it is. metric: which. least: the goal, None where it is only reported."""

    name: str
    says: str
    asks: dict[str, Any]
    metric: str = "dsc"
    least: float | None = None
    model: str = ""
    prompt: int = 0
    keep: Callable[[Row], bool] = lambda row: True


def _blob(row: Row) -> bool:
    return row.set not in NOT_BLOBS


def _nucleus(row: Row) -> bool:
    return row.object == NUCLEUS


CLICKS = {"kind": "image", "prompts": ("click",)}
BOXES = {"kind": "image", "prompts": ("box-jitter:0.05",), "models": ("", "ellipse")}
OF_SET = {"sets": (CELLS,), "most": None, "prompts": tuple(f"{ONE_PROMPT}:{name}" for name in MEMORIES)}
TASKS = (
    Task("boxes", "pictures of blobs, a box 5 % off", BOXES, least=0.90, keep=_blob),
    Task("boxes", "the same, the box's ellipse", BOXES, model="ellipse", keep=_blob),
    Task("clicks", "pictures of blobs, one click in the middle", CLICKS, least=0.75, keep=_blob),
    Task("volumes", "volumes, one box on the middle slice, no z range", {"kind": "volume"}, least=0.78),
    Task("volumes", "the same, NSD at 2 mm", {"kind": "volume"}, metric="nsd"),
    Task("videos", "videos, a mask on the first frame", {"kind": "video", "prompts": ("mask",)}, least=0.75),
    Task("oneprompt", "299 pictures from one, self-sorting memory: nucleus", OF_SET, least=0.80, keep=_nucleus),
    Task("oneprompt", "the same, the last pictures (FIFO)", OF_SET, prompt=1, keep=_nucleus),
    Task("oneprompt", "the same, the marked picture alone", OF_SET, prompt=2, keep=_nucleus),
    Task("scribbles", "vessels, a scribble", {"sets": NOT_BLOBS, "prompts": ("scribble",)}),
)  # fmt: skip
CORRECTED = "pictures of blobs, after five correcting clicks"
CORRECTED_LEAST = 0.88


def goals(plan: Plan, out: Path, tell: Tell | None = None, *, command: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Measure all tasks with the plan's first model; returns the lines of goals.json. A run that was stopped goes on.

    The plan's data, split, objects, most and seed hold for every task, but a set with one prompt is always whole.
    Raises as `evaluate` does.
    """
    under_test = plan.models[0]
    rows: dict[str, list[Row]] = {}
    lines = []
    for task in TASKS:
        own = {"models": ("",), **task.asks}
        asked = replace(plan, **{**own, "models": tuple(name or under_test for name in own["models"])})
        if task.name not in rows:
            rows[task.name] = _rows(asked, out / task.name, tell, command)
        contender = (task.model or asked.methods()[0].name, str(asked.ways()[task.prompt]), False)
        found = [row for row in rows[task.name] if row.contender == contender and task.keep(row)]
        lines.append(_line(task.says, task.metric, task.least, found, plan.seed))
    asked = replace(plan, kind="image", prompts=("click",))
    corrected = interactive(replace(asked, sets=_blob_sets(asked)), out / "corrected", command=command)
    lines.append(_line(CORRECTED, "dsc_final", CORRECTED_LEAST, corrected, plan.seed))
    known = {"machine": machine(), "versions": versions(), "model": under_test}
    write_json(
        out / "goals.json", {**known, "split": plan.split, "most": plan.most, "objects": plan.objects, "figures": lines}
    )
    write_text(out / "goals.md", table(lines))
    return lines


def _rows(plan: Plan, out: Path, tell: Tell | None, command: Sequence[str]) -> list[Row]:
    """What a task measured; nothing where the data have no such case."""
    try:
        plan.cases()
    except CaseMissingError:
        return []
    return evaluate(plan, out, tell, command=command).rows


def _blob_sets(plan: Plan) -> tuple[str, ...]:
    """Of the pictures that are there; those alone are corrected."""
    return tuple(sorted({case.set for case in plan.cases()} - set(NOT_BLOBS)))


def _line(says: str, metric: str, least: float | None, found: Sequence[Any], seed: int) -> dict[str, Any]:
    """A figure beside its goal; without a case of that kind there is none."""
    if not found:
        return {"task": says, "metric": metric, "goal": least, "figure": None, "failed": 0, "reached": None}
    (one,) = summaries(found, (metric,), seed=seed)
    figure = one["overall"][metric]
    reached = None if least is None else figure["mean"] >= least
    return {
        "task": says,
        "metric": metric,
        "goal": least,
        "figure": figure,
        "failed": one["failed"],
        "reached": reached,
    }


def table(lines: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row a task."""
    rows = ["| task | metric | figure | goal | |", "|---|---|---|---|---|"]
    for line in lines:
        figure, goal = line["figure"], "" if line["goal"] is None else f"{line['goal']:.2f}"
        said = "not measured" if figure is None else f"{figure['mean']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"
        verdict = {True: "reached", False: "not reached", None: ""}[line["reached"]]
        rows.append(
            f"| {line['task']} | {line['metric'].removesuffix('_final').upper()} | {said} | {goal} | {verdict} |"
        )
    return (
        "# What voxtrace-small was trained for\n\nMeans over sets with 95 % intervals by patient.\n\n"
        + "\n".join(rows)
        + "\n"
    )
