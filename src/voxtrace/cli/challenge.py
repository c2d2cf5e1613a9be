"""`voxtrace challenge`: run submissions in a sandbox, rank them, run one again, compare two rounds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional, arg

from voxtrace.bench.challenge.boosting import compare
from voxtrace.bench.challenge.cases import list_cases
from voxtrace.bench.challenge.limits import EXAMPLE, parse_limits
from voxtrace.bench.challenge.reproducing import Deltas, reproduce
from voxtrace.bench.challenge.running import Plan, run_plan
from voxtrace.bench.challenge.runs import OK, CaseRow, Run, read_run
from voxtrace.bench.challenge.sandbox.choice import Kind, choose
from voxtrace.bench.challenge.standings import DEFAULT_METRICS, parse_metrics, standings
from voxtrace.bench.challenge.submission import read_submission
from voxtrace.bench.files import write_json, write_text
from voxtrace.cli import outputs
from voxtrace.cli.challenge_text import boost_lines, ranking_lines, reproduction_lines
from voxtrace.cli.options import MANY, TellOptions
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.eval.metrics import TOLERANCE_MM
from voxtrace.eval.ranking import Aggregate, Rules, Scheme, Ties

SOME_FAILED = 3


@dataclass(frozen=True)
class RunCases:
    """Run a submission on every case in a sandbox, one after another, and score it. Cases that are done are skipped
    when it is run again. Exit code 3 if some failed."""

    submission: Annotated[str, arg(metavar="DIR|IMAGE")]
    """A folder with predict, predict.sh or submission.toml, or the name of a container image (docs/challenge.md)."""
    cases: Annotated[Path, arg(metavar="DIR")]
    """A folder of npz files; their gts are not shown to the submission."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """The folder for results.csv, results.json, lock.json, the predictions and what was printed."""
    truth: Annotated[Path | None, arg(metavar="DIR")] = None
    """A folder of npz files of the same names with gts, where the cases have none."""
    limits: Annotated[str, arg(metavar=EXAMPLE)] = ""
    """What one case may use. By default memory=8G, every processor, seconds=600, disk=1G, processes=512."""
    sandbox: Kind = "auto"
    """auto takes the strictest that works here. limits is none: network and files are open to the submission."""
    allow: Annotated[MANY, arg(metavar="PATH")] = ()
    """A file or folder that the submission may read beside its own; can be repeated."""
    tolerance_mm: float = TOLERANCE_MM
    """Tolerance of NSD."""
    again: bool = False
    """Run again the cases that failed before."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Run all cases; returns 0, or 3 if some failed."""
        limits = parse_limits(self.limits)
        limits.cpu_numbers()
        for path, what in ((self.cases, "folder of cases"), (self.truth, "folder of references")):
            if path is not None:
                outputs.check_input(path, what)
        cases = list_cases(self.cases, self.truth)
        for path in map(Path, self.allow):
            outputs.check_input(path, "allowed path")
        submission = read_submission(self.submission)
        sandbox = choose(submission, self.sandbox)
        outputs.check_folder(self.out)
        silent = self.telling.silent
        note(f"{submission.name}: {len(cases)} cases, sandbox {sandbox.name}", silent)
        allow = tuple(map(Path, self.allow))
        plan = Plan(submission, cases, sandbox, limits, self.out, allow, self.tolerance_mm, self.again)
        with progress(submission.name, silent, "cases") as advance:

            def tell(number: int, row: CaseRow | None) -> None:
                advance(number, len(cases))
                if row is not None and row.status != OK:
                    note(f"{row.status:14} {row.case}: {row.message}", silent)

            run = run_plan(plan, tell, sys.argv[1:])
        return self._tell(run)

    def _tell(self, run: Run) -> int:
        summary = run.summary()
        if self.telling.json:
            print_json({"submission": run.name, "out": str(run.folder), "sandbox": run.settings["sandbox"]} | summary)
        else:
            counts = ", ".join(f"{count} {status}" for status, count in summary["statuses"].items())
            say(f"{run.name}: {counts}")
            for name in ("dsc", "nsd"):
                if mean := summary[name]:
                    say(f"  {name.upper():9} {mean['mean']:.4f}  (95 % {mean['low']:.4f} to {mean['high']:.4f})")
            if seconds := summary["seconds"]:
                say(f"  seconds   {seconds['median']:.2f} (median a case)")
            if summary["peak_memory"] is not None:
                say(f"  memory    {summary['peak_memory'] / 2**20:.0f} MB at most")
            say(f"  results   {run.folder / 'results.csv'}")
        return 0 if summary["statuses"].get(OK) == summary["cases"] else SOME_FAILED


@dataclass(frozen=True)
class Rank:
    """Rank the runs of several submissions on the same cases, and say how sure the ranking is."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN [RUN ...]")]
    """Folders that `voxtrace challenge run` wrote."""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """A folder for ranking.csv and ranking.json."""
    metrics: Annotated[tuple[str, ...], arg(metavar="NAME[=WEIGHT] ...")] = tuple(DEFAULT_METRICS)
    """Of dsc, nsd, seconds, peak_memory."""
    scheme: Scheme = "rank-then-aggregate"
    """Rank on each case and average the ranks, or average the values and rank those."""
    aggregate: Aggregate = "mean"
    """Over the cases."""
    ties: Ties = "average"
    """The rank of equal values."""
    draws: int = 1000
    """How often the cases are drawn again, to see how stable the ranking is."""
    seed: int = 0
    """Of those draws."""
    alpha: float = 0.05
    """Level of significance, after Holm's correction."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Print the standings."""
        rules = Rules(self.scheme, self.aggregate, self.ties)
        runs = [read_run(folder) for folder in self.runs]
        found = standings(runs, parse_metrics(self.metrics), rules, self.draws, self.seed, self.alpha)
        if self.out is not None:
            _keep(self.out, "ranking.json", found.to_json())
            write_text(self.out / "ranking.csv", found.csv())
        _tell(ranking_lines(found), found.to_json() if self.json else None)
        return 0


@dataclass(frozen=True)
class Reproduce:
    """Compare two runs of one submission case by case. Exit code 3 if the second does not reproduce the first."""

    first: Annotated[Positional[Path], arg(metavar="RUN")]
    """A folder that `voxtrace challenge run` wrote."""
    second: Annotated[Positional[Path], arg(metavar="RUN")]
    """The other one."""
    dsc: float = 0.001
    """Largest difference in DSC that counts as reproduced."""
    nsd: float = 0.001
    """Largest difference in NSD that counts as reproduced."""
    seconds_ratio: float | None = None
    """Largest ratio of times; by default time is not asked."""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """A folder for reproduction.json, which `voxtrace report` reads."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Print the verdicts; returns 0, or 3 if some case is not reproduced."""
        deltas = Deltas(self.dsc, self.nsd, self.seconds_ratio)
        first, second = read_run(self.first), read_run(self.second)
        found = reproduce(first, second, deltas)
        if self.out is not None:
            named = {"first": _place(first), "second": _place(second)}
            _keep(self.out, "reproduction.json", named | found.to_json())
        _tell(reproduction_lines(found), found.to_json() if self.json else None)
        return 0 if found.reproduced else SOME_FAILED


@dataclass(frozen=True)
class Compare:
    """What a submission gained from one round to the next, on the same cases."""

    before: Annotated[Positional[Path], arg(metavar="BEFORE")]
    """A folder that `voxtrace challenge run` wrote."""
    after: Annotated[Positional[Path], arg(metavar="AFTER")]
    """The later one."""
    out: Annotated[Path | None, arg(aliases=["-o"], metavar="DIR")] = None
    """A folder for comparison.json, which `voxtrace report` reads."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Print the changes."""
        before, after = read_run(self.before), read_run(self.after)
        found = compare(before, after)
        if self.out is not None:
            named = {"before": _place(before), "after": _place(after)}
            _keep(self.out, "comparison.json", named | found.to_json())
        _tell(boost_lines(found), found.to_json() if self.json else None)
        return 0


def _keep(folder: Path, name: str, content: dict[str, Any]) -> None:
    """Write JSON into a folder that is made if need be."""
    outputs.check_folder(folder)
    outputs.make_folder(folder)
    write_json(folder / name, content)


def _tell(lines: Iterable[str], instead: dict[str, Any] | None) -> None:
    """Print lines for a person, or one JSON object instead."""
    if instead is not None:
        print_json(instead)
        return
    for line in lines:
        say(line)


def _place(run: Run) -> str:
    """The submission's name, and in which folder this run of it lies."""
    folder = run.folder.resolve()
    return f"{run.name} ({folder.parent.name}/{folder.name})"


@dataclass(frozen=True)
class Challenge:
    """Hold a challenge: run submissions in a sandbox, rank them, reproduce a run, compare two rounds."""

    action: (
        Annotated[RunCases, tyro.conf.subcommand("run")]
        | Annotated[Rank, tyro.conf.subcommand("rank")]
        | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
        | Annotated[Compare, tyro.conf.subcommand("compare")]
    )

    def run(self) -> int:
        """Run the action."""
        return self.action.run()
