"""Measure methods on labelled cases: a row for each object, kept as it comes, summed up at the end.

    evaluate(Plan("manifest.jsonl", ("voxtrace-small", "ellipse")), Path("out"))

A run that was stopped goes on where it was; a failed object counts as 0 and is tried again by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from voxtrace.bench.files import write_json
from voxtrace.bench.lock import lock, settings, write_lock
from voxtrace.bench.measuring import of_case
from voxtrace.bench.methods import Method
from voxtrace.bench.oneprompt import of_set, sets_of
from voxtrace.bench.plan import Plan
from voxtrace.bench.record import Record
from voxtrace.bench.worst import Worst
from voxtrace.errors import ModelError, OutputError
from voxtrace.eval.journal import Journal
from voxtrace.eval.results import Row, failed, write_results
from voxtrace.eval.summary import summaries, summary
from voxtrace.manifest import Case

SUMMARY, SUMMARIES = "summary.json", "summaries.json"
Tell = Callable[[Row, int, int], None]  # a row that was just made; pieces of work begun, and in all


@dataclass(frozen=True, slots=True)
class Outcome:
    """rows: of the whole plan, those of earlier runs included. kept: how many of them were there already.
    unasked: methods that understand none of the prompts, or cannot work on any of the cases."""

    rows: list[Row]
    kept: int
    unasked: tuple[str, ...] = ()

    @property
    def failed(self) -> list[Row]:
        """What broke."""
        return [row for row in self.rows if failed(row)]


def evaluate(
    plan: Plan, out: Path, tell: Tell | None = None, *, command: Sequence[str] = (), what: str = "evaluate"
) -> Outcome:
    """Measure what the plan names and write results, summaries, lock and the worst cases into the folder `out`.

    Raises InputError if `out` was begun with other settings, the errors of `Plan` before anything is measured, and
    ModelError if nothing could be asked.
    """
    cases, methods = plan.cases(), plan.methods()
    settled = settings(plan.settings(), cases, methods)
    _ = methods[0].kinds  # weights that do not load are told before a folder is begun
    make_folder(out)
    record = Record(Journal(out, settled))
    write_lock(out, lock(what, asdict(plan), settled, command))
    kept = len(record.rows)
    work = list(_work(plan, cases, methods, record, Worst(out, plan.worst)))
    for begun, new in enumerate(work, 1):
        for row in new:
            if tell:
                tell(row, begun, len(work))
    rows = ordered(record.rows, plan, cases, methods)
    if not rows:
        names, prompts = ", ".join(method.name for method in methods), ", ".join(str(way) for way in plan.ways())
        untold = [method.name for method in methods if method.needs_range and True not in plan.z_ranges]
        hint = f"; {', '.join(untold)} must be told the slices of volumes: --z-range yes" if untold else ""
        raise ModelError(f"{names} cannot be asked by {prompts} about these cases: there is nothing to measure{hint}")
    write_results(out, rows)
    write_json(out / SUMMARIES, summaries(rows, seed=plan.seed))
    write_json(out / SUMMARY, summary([r for r in rows if r.contender == rows[0].contender], seed=plan.seed))
    asked = {row.model for row in rows}
    return Outcome(rows, kept, tuple(method.name for method in methods if method.name not in asked))


def make_folder(out: Path) -> None:
    """Make the folder and those above it. Raises OutputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the output folder {out} cannot be made: {error.strerror}") from None


def ordered(rows: Sequence[Row], plan: Plan, cases: Sequence[Case], methods: Sequence[Method]) -> list[Row]:
    """Rows in the plan's order, however many runs made them."""
    names = [method.name for method in methods]
    ways = [str(way) for way in plan.ways()]
    place = {case.id: number for number, case in enumerate(cases)}
    return sorted(rows, key=lambda r: (names.index(r.model), ways.index(r.prompt), r.z_range, place[r.case], r.object))


def _work(
    plan: Plan, cases: Sequence[Case], methods: Sequence[Method], record: Record, worst: Worst
) -> Iterator[Iterator[Row]]:
    """A case, or a set with one prompt, at a time; nothing is done before it is asked for."""
    for method in methods:
        yield from (of_case(plan, method, case, record, worst) for case in cases)
        for way in plan.asked_of_sets(method):
            yield from (of_set(plan, method, way, own, record, worst) for own in sets_of(cases))
