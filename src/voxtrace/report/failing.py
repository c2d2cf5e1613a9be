"""Which cases of a challenge failed or are missing, and why."""

from __future__ import annotations

from collections.abc import Mapping

from voxtrace.bench.challenge.runs import OK, STATUSES, CaseRow, Run
from voxtrace.report.blocks import Cell, Column, Table
from voxtrace.report.numbers import listed, short

MISSING = "missing"


def failed_cases(names: Mapping[str, Run]) -> Table | None:
    """A line for each submission and way of failing; None if all went well."""
    every = sorted({row.case for run in names.values() for row in run.rows})
    lines: list[tuple[Cell, ...] | str] = []
    for name, run in names.items():
        own: dict[str, list[CaseRow]] = {}
        for row in run.rows:
            if row.status != OK:
                own.setdefault(row.status, []).append(row)
        there = {row.case for row in run.rows}
        lacking = [case for case in every if case not in there]
        found = [_line(status, STATUSES.get(status, ""), rows) for status, rows in sorted(own.items())]
        if lacking:
            found.append((Cell(MISSING), Cell("it was not run on them"), *_cases(lacking), Cell()))
        if found:
            lines += [name, *found]
    if not lines:
        return None
    heads = ("status", "what it means", "cases", "which", "what was seen")
    columns = tuple(Column(head, number=head == "cases") for head in heads)
    return Table("Failed and missing cases", columns, tuple(lines), "They count as 0, and as last in every ranking.")


def _line(status: str, meaning: str, rows: list[CaseRow]) -> tuple[Cell, ...]:
    said = list(dict.fromkeys(short(row.message, 200) for row in rows if row.message))
    told = "; ".join(said[:3]) + (f"; and {len(said) - 3} other messages" if len(said) > 3 else "")
    return (Cell(status), Cell(meaning), *_cases([row.case for row in rows]), Cell(told))


def _cases(cases: list[str]) -> tuple[Cell, Cell]:
    return Cell(str(len(cases))), Cell(listed([case.removesuffix(".npz") for case in cases], 5))
