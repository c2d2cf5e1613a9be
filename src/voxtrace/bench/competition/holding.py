"""Hold the competition: cases made, every submission run in a sandbox, ranked, one run again, all of it written down.

cases/ truth/        what the submissions are given, and what they are scored against
runs/NAME/ again/    as `voxtrace challenge run` writes them
results/             what is small and holds nothing of any patient: tables, verdicts, locks
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxtrace import checkpoints
from voxtrace.bench.challenge import locking
from voxtrace.bench.challenge.boosting import compare
from voxtrace.bench.challenge.cases import ChallengeCase, list_cases
from voxtrace.bench.challenge.limits import Limits
from voxtrace.bench.challenge.reproducing import reproduce
from voxtrace.bench.challenge.running import Plan, run_plan
from voxtrace.bench.challenge.runs import CSV_FILE, JSON_FILE, CaseRow, Run
from voxtrace.bench.challenge.sandbox.choice import Kind, choose
from voxtrace.bench.challenge.sandbox.launching import SOURCES
from voxtrace.bench.challenge.standings import Standings, standings
from voxtrace.bench.challenge.submission import Submission, read_submission
from voxtrace.bench.competition.cases import SETS, Made, make_cases
from voxtrace.bench.competition.misdeeds import MISBEHAVING, Misdeed, left_behind, misdeeds
from voxtrace.bench.competition.telling import markdown
from voxtrace.bench.files import write_json, write_text
from voxtrace.bench.lock import FILE, lock, write_lock
from voxtrace.errors import CaseMissingError
from voxtrace.hashing import sha256_of

WHAT = "competition"
FIRST, SECOND = "voxtrace-small", "voxtrace-small-fast"  # the one that is run again; the one that it is compared with
LIMITS = Limits(memory=2 * 2**30, cpus=2, seconds=60.0, disk=64 * 2**20, processes=64)
Tell = Callable[[str, CaseRow], None]  # a run's folder, and a case that was just run


@dataclass(frozen=True, slots=True)
class Competition:
    """What is held. data: labelled cases, a manifest or its folder. submissions: a folder of submissions."""

    data: Path
    out: Path
    submissions: Path = Path("competition")
    limits: Limits = LIMITS
    sandbox: Kind = "auto"
    sets: tuple[str, ...] = tuple(SETS)


@dataclass(frozen=True, slots=True)
class Held:
    """What came of it. misdeeds: of the submission that misbehaves, if it took part."""

    made: list[Made]
    standings: Standings
    runs: list[Run]
    reproduction: dict[str, Any] | None
    comparison: dict[str, Any] | None
    misdeeds: list[Misdeed]


def hold(competition: Competition, tell: Tell | None = None, command: Sequence[str] = ()) -> Held:
    """Do all of it, or what is not done yet. Raises CaseMissingError without cases or submissions, SandboxError where
    no sandbox works, InputError for submissions that are none, or if `out` was begun with something else."""
    entries = submissions_in(competition.submissions)
    made = make_cases(competition.data, competition.out / "cases", competition.out / "truth", competition.sets)
    cases = list_cases(competition.out / "cases", competition.out / "truth")
    runs = {}
    lost: list[str] = []
    for name, submission in entries.items():
        runs[name] = _run(competition, submission, cases, f"runs/{name}", tell)
        if name == MISBEHAVING:
            lost = left_behind(competition.out, competition.submissions)
    found = standings(list(runs.values()))
    repeated = compared = None
    if FIRST in runs:
        again = _run(competition, entries[FIRST], cases, f"again/{FIRST}", tell)
        repeated = {"first": f"runs/{FIRST}", "second": f"again/{FIRST}"} | reproduce(runs[FIRST], again).to_json()
        if SECOND in runs:
            compared = {"before": FIRST, "after": SECOND} | compare(runs[FIRST], runs[SECOND]).to_json()
    deeds = misdeeds(runs[MISBEHAVING], lost) if MISBEHAVING in runs else []
    held = Held(made, found, list(runs.values()), repeated, compared, deeds)
    _write(competition, entries, held, command)
    return held


def submissions_in(folder: Path) -> dict[str, Submission]:
    """{folder's name: submission} of all folders in there. Raises CaseMissingError if there is none."""
    places = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    entries = {path.name: read_submission(str(path)) for path in places if not path.name.startswith((".", "_"))}
    if not entries:
        raise CaseMissingError(
            f"{folder} holds no submissions; run this in the repository's root, or --submissions DIR"
        )
    return entries


def allowed() -> tuple[Path, ...]:
    """Where voxtrace is, unless it lies among Python's own packages, which every submission can read."""
    prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    if prefixes & {SOURCES, *SOURCES.parents}:
        return ()
    here = Path.cwd()
    return (SOURCES.relative_to(here),) if here in SOURCES.parents else (SOURCES,)


def _run(
    competition: Competition, submission: Submission, cases: Sequence[ChallengeCase], place: str, tell: Tell | None
) -> Run:
    def told(number: int, row: CaseRow | None) -> None:
        if row is not None and tell is not None:
            tell(place, row)

    sandbox = choose(submission, competition.sandbox)
    plan = Plan(submission, cases, sandbox, competition.limits, competition.out / place, allowed())
    return run_plan(plan, told, _command(competition, plan, place))


def _command(competition: Competition, plan: Plan, place: str) -> list[str]:
    """What would make this run by itself, with no more of this machine's paths than were given."""
    out, limits = competition.out.name, asdict(competition.limits)
    values = {name: f"{value:g}" if name == "seconds" else value for name, value in limits.items() if value}
    given = ",".join(f"{name}={value}" for name, value in values.items())
    folder = plan.submission.folder
    words = ["challenge", "run", "--submission", f"{competition.submissions.name}/{folder.name if folder else ''}"]
    words += ["--cases", f"{out}/cases", "--truth", f"{out}/truth", "--limits", given, "--out", f"{out}/{place}"]
    return words + [word for path in plan.allow for word in ("--allow", str(path))]


def _write(competition: Competition, entries: dict[str, Submission], held: Held, command: Sequence[str]) -> None:
    results = competition.out / "results"
    for run in held.runs:
        kept = results / "runs" / run.folder.name
        kept.mkdir(parents=True, exist_ok=True)
        for name in (CSV_FILE, JSON_FILE, FILE):
            shutil.copyfile(run.folder / name, kept / name)
    write_text(results / "ranking.csv", held.standings.csv())
    write_json(results / "ranking.json", held.standings.to_json())
    for name, content in (("reproduction", held.reproduction), ("comparison", held.comparison)):
        if content is not None:
            write_json(results / f"{name}.json", content)
    write_json(results / "misdeeds.json", [asdict(one) for one in held.misdeeds])
    write_text(results / "standings.md", markdown(held))
    settled = {
        "cases": [asdict(one) for one in held.made],
        "submissions": {name: one.sha256 for name, one in entries.items()},
        "limits": asdict(competition.limits),
        "sandbox": held.runs[0].settings["sandbox"],
        "weights": {FIRST: {"sha256": sha256_of(checkpoints.resolve(FIRST).path)}},
        **locking.made_with(allowed()),
    }
    plan = {"sets": list(competition.sets), "draws": held.standings.draws, "seed": held.standings.seed}
    write_lock(results, lock(WHAT, plan, settled, command))
