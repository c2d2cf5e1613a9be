"""`voxtrace bench`: models across modalities, corrected with clicks, asked badly; and a run repeated."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from voxtrace import engines
from voxtrace.bench.goals import goals, table
from voxtrace.bench.interactive import METRICS, interactive
from voxtrace.bench.modalities import PROMPTS, modalities, models_here
from voxtrace.bench.robustness import LEVELS, robustness
from voxtrace.bench.rounds import Rounds
from voxtrace.bench.verify import TOLERANCE, verify
from voxtrace.cli import outputs
from voxtrace.cli.measuring import FAILED, Z_RANGES, CaseOptions, carry_out, figure, row_line
from voxtrace.cli.options import TellOptions
from voxtrace.cli.speed import Speed
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.eval.results import FAILED as LOST, Row
from voxtrace.eval.summary import summaries

Faults = Literal["box-jitter", "click-jitter", "wrong-clicks"]


@dataclass(frozen=True)
class Modalities:
    """All models of this machine, and what needs no weights, over all modalities: with several prompts, volumes with
    and without the z range told. Writes modalities.md and modalities.json beside the results."""

    cases: CaseOptions
    model: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Only these. By default every registered model whose weights are here, then ellipse, grabcut, random-walker and
    carried."""
    prompt: Annotated[tuple[str, ...], arg(metavar="PROMPT [PROMPT ...]")] = PROMPTS
    """As in `voxtrace evaluate`. The methods without weights take what they understand."""
    z_range: Literal["no", "yes", "both"] = "both"
    """Whether volumes are asked with the slices told between which the object lies."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Measure; returns 0, or 3 if some cases failed."""
        plan = self.cases.plan(self.model or models_here(), prompts=self.prompt, z_ranges=Z_RANGES[self.z_range])
        out = self.cases.out
        return carry_out(self.cases, self.telling, lambda tell: modalities(plan, out, tell, command=sys.argv[1:]))


@dataclass(frozen=True)
class Robustness:
    """What is lost when boxes and clicks are off, or clicks have the wrong sign. Writes robustness.csv and .json with
    the curves beside the results."""

    cases: CaseOptions
    model: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Names of `voxtrace weights list`, or weights files. By default voxtrace-small."""
    fault: Annotated[tuple[Faults, ...], arg(metavar="|".join(LEVELS))] = ("box-jitter", "click-jitter", "wrong-clicks")
    """Only these faults."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Measure; returns 0, or 3 if some cases failed."""
        plan = self.cases.plan(self.model or (engines.DEFAULT_MODEL,))
        out, faults = self.cases.out, self.fault
        command = sys.argv[1:]
        return carry_out(
            self.cases, self.telling, lambda tell: robustness(plan, out, tell, faults=faults, command=command)
        )


@dataclass(frozen=True)
class Interactive:
    """The CVPR 2025 protocol: a box, then five clicks where the mask is most wrong. Writes MODEL_metrics.csv with the
    published columns, clicks.csv, and interactive.json with intervals. Exit code 3 if some cases failed."""

    cases: CaseOptions
    model: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Names of `voxtrace weights list`, or weights files. By default voxtrace-small."""
    start: Literal["box", "click"] = "box"
    """The first mark. The challenge begins with a box."""
    z_range: bool = False
    """Tell the z range with the box, as the challenge's own boxes do."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Measure; returns 0, or 3 if some cases failed."""
        options = self.cases
        models = self.model or (engines.DEFAULT_MODEL,)
        plan = options.plan(models, prompts=(self.start,), z_ranges=(self.z_range,))
        outputs.check_folder(options.out)
        with progress("correcting", self.telling.silent, "cases") as advance:

            def tell(one: Rounds, begun: int, total: int) -> None:
                line = f"{one.status:6} {one.model} {one.case}: dsc {' '.join(f'{v:.3f}' for v in one.dsc)} {one.error}"
                note(line.rstrip(), self.telling.silent or sys.stderr.isatty())
                advance(begun, total)

            found = interactive(plan, options.out, tell, command=sys.argv[1:])
        lost = [one for one in found if one.status == LOST]
        self._report(found, lost)
        return FAILED if lost else 0

    def _report(self, found: list[Rounds], lost: list[Rounds]) -> None:
        figures = summaries(found, METRICS, seed=self.cases.seed)
        if self.telling.json:
            print_json({"failed": [{"case": one.case, "error": one.error} for one in lost], "summaries": figures})
            return
        for one in figures:
            shown = [f"{name} {figure(one['overall'][name])}" for name in METRICS]
            say(f"{one['model']}: {', '.join(shown)}")
        for case in lost:
            say(f"failed  {case.case} ({case.model}): {case.error}")
        say(f"{len(found)} cases, {len(lost)} failed: {self.cases.out}")


@dataclass(frozen=True)
class Goals:
    """What the embedded weights are trained for, each task beside its goal: boxes, clicks, corrections, volumes,
    videos, one prompt for a set. Writes goals.md and goals.json, and a folder for each task."""

    cases: CaseOptions
    model: str = engines.DEFAULT_MODEL
    """A name of `voxtrace weights list`, or a weights file."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Measure; returns 0, or 3 if some cases failed."""
        plan = self.cases.plan((self.model,))
        outputs.check_folder(self.cases.out)
        outputs.make_folder(self.cases.out)
        with progress("measuring", self.telling.silent, "cases") as advance:

            def tell(row: Row, begun: int, total: int) -> None:
                note(row_line(row), self.telling.silent or sys.stderr.isatty())
                advance(begun, total)

            lines = goals(plan, self.cases.out, tell, command=sys.argv[1:])
        if self.telling.json:
            print_json({"figures": lines})
        else:
            say(table(lines))
        return FAILED if any(line["failed"] for line in lines) else 0


@dataclass(frozen=True)
class Verify:
    """Repeat a run from its lock.json and compare every figure. Exit code 0 if all came out again, else 3."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """What `voxtrace evaluate` or `voxtrace bench` wrote."""
    data: Annotated[Path | None, arg(metavar="MANIFEST")] = None
    """Where the cases are now, if not where they were."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """Keep the repetition here. Without it nothing is kept."""
    tolerance: float = TOLERANCE
    """How far a figure may be off; seconds and memory are not compared."""
    json: bool = False
    """One JSON object instead of text."""

    def run(self) -> int:
        """Repeat and compare."""
        if self.out is not None:
            outputs.check_folder(self.out)
        with tempfile.TemporaryDirectory() as temporary:
            again = self.out or Path(temporary)
            verdict = verify(self.folder, again, str(self.data) if self.data else None, self.tolerance)
        if self.json:
            fields = {"compared": verdict.compared, "changed": verdict.changed, "differing": verdict.differing}
            print_json({"same": verdict.same, **fields})
            return 0 if verdict.same else FAILED
        for line in verdict.changed:
            say(f"changed    {line}")
        for line in verdict.differing:
            say(f"differs    {line}")
        say(f"{verdict.compared} rows compared: {'the same' if verdict.same else f'{len(verdict.differing)} differ'}")
        return 0 if verdict.same else FAILED


@dataclass(frozen=True)
class Bench:
    """Benchmarks: across modalities, interactive, faulty prompts, goals of the training, speed; and a run repeated."""

    action: (
        Annotated[Modalities, tyro.conf.subcommand("modalities")]
        | Annotated[Interactive, tyro.conf.subcommand("interactive")]
        | Annotated[Robustness, tyro.conf.subcommand("robustness")]
        | Annotated[Goals, tyro.conf.subcommand("goals")]
        | Annotated[Speed, tyro.conf.subcommand("speed")]
        | Annotated[Verify, tyro.conf.subcommand("verify")]
    )

    def run(self) -> int:
        """Run the action."""
        return self.action.run()
