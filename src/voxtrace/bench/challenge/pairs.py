"""Two runs on the same cases, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from voxtrace.bench.challenge.runs import CaseRow, Run
from voxtrace.errors import InputError


@dataclass(frozen=True, slots=True)
class Pair:
    """One case of both runs; None where a run has no row for it."""

    case: str
    first: CaseRow | None
    second: CaseRow | None


def pair_up(first: Run, second: Run) -> list[Pair]:
    """All cases of either run, by name. Raises InputError if a case of both was another file, or none is of both."""
    rows = [{row.case: row for row in run.rows} for run in (first, second)]
    check_same_cases([first, second])
    if not rows[0].keys() & rows[1].keys():
        raise InputError(f"{first.folder} and {second.folder} have no case in common")
    return [Pair(case, rows[0].get(case), rows[1].get(case)) for case in sorted(rows[0].keys() | rows[1].keys())]


def check_same_cases(runs: list[Run]) -> None:
    """Raise InputError if a case of one name was another file, or was scored by another rule, in another run."""
    seen: dict[str, tuple[str, Run]] = {}
    for run in runs:
        if run.settings["scoring"] != runs[0].settings["scoring"]:
            raise InputError(
                f"{run.folder} was scored by other rules than {runs[0].folder}; run it again with the same"
            )
        for row in run.rows:
            before, where = seen.setdefault(row.case, (row.case_sha256, run))
            if before != row.case_sha256:
                raise InputError(f"{row.case} is another file in {run.folder} than in {where.folder}")


def differences(runs: list[Run]) -> list[str]:
    """What makes times, and perhaps more, hard to compare: other limits, sandboxes or machines."""
    found = []
    for what in ("limits", "sandbox"):
        if any(run.settings[what] != runs[0].settings[what] for run in runs):
            found.append(f"the runs had different {what}")
    for what in ("processor", "cpus"):
        if any(run.machine.get(what) != runs[0].machine.get(what) for run in runs):
            found.append(f"the machines differ in {what}; times cannot be compared")
    return found
