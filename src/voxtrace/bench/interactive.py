"""The interactive benchmark: models corrected case by case, after the CVPR 2025 protocol (see `rounds`).

Writes MODEL_metrics.csv with the published columns, clicks.csv, interactive.json with intervals, and lock.json.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bench.corrections import NetCorrected, Start, Watched, first_mark
from voxtrace.bench.evaluate import make_folder
from voxtrace.bench.files import write_json, write_text
from voxtrace.bench.lock import lock, settings, write_lock
from voxtrace.bench.methods import Method, Net
from voxtrace.bench.plan import Plan
from voxtrace.bench.rounds import Rounds, about, correct_in_rounds, csv_row, lost_rounds
from voxtrace.bench.scoring import scores
from voxtrace.bench.truths import Target, open_case
from voxtrace.bench.worst import ABOUT, Worst
from voxtrace.errors import ModelError, PromptError
from voxtrace.eval.journal import Journal
from voxtrace.eval.results import FAILED
from voxtrace.eval.summary import summaries
from voxtrace.io.reading import Scan
from voxtrace.manifest import Case
from voxtrace.prompts import Point
from voxtrace.volume import Volume

WHAT = "interactive"
METRICS = ("dsc_auc", "nsd_auc", "dsc_final", "nsd_final", "seconds_total")
KINDS = ("image", "volume")
FIRST_MARKS = (("box",), ("click",))
CLICK_COLUMNS = ("model", "case", "step", "object", "z", "y", "x", "positive")
Tell = Callable[[Rounds, int, int], None]


def interactive(plan: Plan, out: Path, tell: Tell | None = None, *, command: Sequence[str] = ()) -> list[Rounds]:
    """Correct every case with every model. Videos are left out: their errors are known on some frames only.

    The plan's one prompt is the first mark: a box, or a click. A run that was stopped goes on; failed cases are tried
    again. Raises as `evaluate` does, and PromptError for another first mark.
    """
    if plan.prompts not in FIRST_MARKS:
        raise PromptError(f"a correction begins with a box or a click, not with {', '.join(plan.prompts)}")
    methods = [_net(method) for method in plan.methods()]
    cases = [case for case in plan.cases() if case.kind in KINDS]
    settled = settings(plan.settings(), cases, methods)
    _ = methods[0].engine  # weights that do not load are told before a folder is begun
    make_folder(out)
    journal = Journal(out, {"what": WHAT, **settled})
    write_lock(out, lock(WHAT, asdict(plan), settled, command))
    worst = Worst(out, plan.worst)
    known = {(r.model, r.case): r for line in journal.lines if (r := Rounds.of(line)).status != FAILED}
    found = []
    for number, method in enumerate(methods):
        for place, case in enumerate(case for case in cases if case.kind in method.kinds):
            rounds = known.get((method.name, case.id))
            if rounds is None:
                rounds = measure(plan, method.name, NetCorrected.start(method.engine), case, worst)
                journal.write(asdict(rounds))
                if tell:
                    tell(rounds, number * len(cases) + place + 1, len(methods) * len(cases))
            found.append(rounds)
    write(out, found, cases, plan.seed)
    return found


def measure(plan: Plan, name: str, start: Start, case: Case, worst: Worst | None = None) -> Rounds:
    """One case. start: opens the model on a scan. worst: is offered the case's worst object."""
    told, begun = plan.z_ranges[0], plan.prompts[0]
    try:
        scan, targets = open_case(case, plan.objects)
        spacing = scan.spacing_mm if isinstance(scan, Volume) else (1.0, 1.0, 1.0)
        model = Watched(start(scan))
        fields = correct_in_rounds(model, targets, spacing, plan.tolerance, told, begun)
    except Exception as error:
        return Rounds(**about(case, name, told, begun), **lost_rounds(error))
    rounds = Rounds(**about(case, name, told, begun), **fields)
    if worst is not None and rounds.status != FAILED:
        _offer(worst, rounds, scan, targets, model.labels, plan.tolerance)
    return rounds


def _offer(
    worst: Worst, rounds: Rounds, scan: Scan, targets: Sequence[Target], labels: np.ndarray, tolerance: float
) -> None:
    """The object whose last mask is worst, with its box and all its clicks."""
    found = [(scores(labels == target.label, target, scan, tolerance), target) for target in targets]
    score, target = min(found, key=lambda one: one[0].dsc)
    clicks = [Point(z, y, x, positive) for _, label, z, y, x, positive in rounds.clicks if label == target.label]
    own = {"prompt": rounds.contender[1], "object": target.label, "dsc": score.dsc, "nsd": score.nsd}
    named = {name: getattr(rounds, name) for name in ABOUT if name not in own}
    marks = [first_mark(target, rounds.begun, rounds.z_range), *clicks]
    worst.offer(named | own, scan, target, labels == target.label, marks)


def write(out: Path, found: Sequence[Rounds], cases: Sequence[Case], seed: int) -> None:
    """The tables and figures of what was measured. Raises OutputError."""
    files = {case.id: case.image_path.name if case.image_path.suffix == ".npz" else case.id for case in cases}
    for model in dict.fromkeys(rounds.model for rounds in found):
        rows = [csv_row(rounds, files[rounds.case]) for rounds in found if rounds.model == model]
        write_text(out / f"{plain_name(model)}_metrics.csv", table(rows))
    clicks = [dict(zip(CLICK_COLUMNS, (r.model, r.case, *click), strict=True)) for r in found for click in r.clicks]
    write_text(out / "clicks.csv", table(clicks, CLICK_COLUMNS))
    write_json(out / f"{WHAT}.json", summaries(found, METRICS, seed=seed))


def plain_name(model: str) -> str:
    """A model's name, or its file's, as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", Path(model).stem if Path(model).is_file() else model)


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str] = ()) -> str:
    """Rows of equal columns as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns or (rows[0] if rows else ())), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _net(method: Method) -> Net:
    if not isinstance(method, Net):
        raise ModelError(f"{method.name} cannot be corrected; give models of `voxtrace weights list` or weights files")
    if not method.takes("click"):
        raise ModelError(f"{method.name} was trained with boxes alone and cannot be corrected with clicks")
    return method
