"""One method on one case: it is asked for each object, and what it finds is scored. What breaks becomes a row too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voxtrace.bench.asking import Way, ask, knowledge
from voxtrace.bench.cost import Cost, measured
from voxtrace.bench.methods import Find, Method
from voxtrace.bench.plan import Plan
from voxtrace.bench.record import Record
from voxtrace.bench.scoring import NOTHING, scores
from voxtrace.bench.truths import Target, open_case
from voxtrace.bench.worst import Worst, about
from voxtrace.errors import VoxtraceError
from voxtrace.eval.metrics import Scores
from voxtrace.eval.results import DONE, FAILED, Row, failed
from voxtrace.io.reading import Scan
from voxtrace.manifest import Case


def of_case(plan: Plan, method: Method, case: Case, record: Record, worst: Worst) -> Iterator[Row]:
    """The rows of a case that are not there yet, each kept in the record before it is given; `worst` is offered each
    object."""
    due = [(w, told) for w, told in plan.asked(method, case) if not record.is_whole(method.name, str(w), told, case.id)]
    if not due:
        return
    for way, told in due:
        record.retry(method.name, str(way), told, case.id)
    try:
        scan, targets = open_case(case, plan.objects)
        find = method.open(case, scan)
    except Exception as error:
        for way, told in due:
            yield record.add(lost(error, method.name, way, told, case))
        return
    for way, told in due:
        new = []
        for target in targets:
            if not record.has(method.name, str(way), told, case.id, target.label):
                new.append(record.add(_row(plan, method.name, find, case, scan, target, way, told, worst)))
                yield new[-1]
        if not any(failed(row) for row in new):
            record.end(method.name, str(way), told, case.id)


def lost(
    error: Exception, model: str, way: Way, told: bool, case: Case, target: Target | None = None, **more: Any
) -> Row:
    """The row of an object (0: the whole case) that could not be found: overlaps 0, distances infinite."""
    text = str(error) if isinstance(error, VoxtraceError) else f"{type(error).__name__}: {error}"
    cost = more.pop("cost", Cost())
    return row(NOTHING, cost, model, way, told, case, target, status=FAILED, error=text)


def row(
    found: Scores, cost: Cost, model: str, way: Way, told: bool, case: Case, target: Target | None, **more: Any
) -> Row:
    """The row of an object."""
    return Row(
        model=model,
        prompt=str(way),
        z_range=told,
        set=case.set,
        case=case.id,
        object=target.label if target else 0,
        kind=case.kind,
        modality=case.modality,
        patient=case.patient or case.id,
        status=more.pop("status", DONE),
        dsc=found.dsc,
        nsd=found.nsd,
        iou=found.iou,
        hd95=found.hd95,
        assd=found.assd,
        seconds=cost.seconds,
        peak_mb=cost.peak_mb,
        frame=target.frame if target else None,
        knowledge=knowledge(way, case.kind, told),
        **more,
    )


def _row(
    plan: Plan, model: str, find: Find, case: Case, scan: Scan, target: Target, way: Way, told: bool, worst: Worst
) -> Row:
    with measured() as cost:
        try:
            question = ask(way, target, case.id, plan.seed, told)
            found = find(question)
        except Exception as error:
            return lost(error, model, way, told, case, target, cost=cost)
    made = row(scores(found, target, scan, plan.tolerance), cost, model, way, told, case, target)
    worst.offer(about(made), scan, target, found, question.prompts)
    return made
