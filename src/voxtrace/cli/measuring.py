"""What the commands that measure share: which cases, and how a run is told of."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from voxtrace.bench.evaluate import Outcome, Tell
from voxtrace.bench.plan import TOLERANCE, Plan
from voxtrace.bench.truths import OBJECTS_A_CASE
from voxtrace.bench.worst import MOST
from voxtrace.cli import outputs
from voxtrace.cli.options import TellOptions
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.eval.results import Row, missing_parquet
from voxtrace.eval.summary import summaries

FAILED = 3
Z_RANGES = {"no": (False,), "yes": (True,), "both": (False, True)}


@dataclass(frozen=True)
class CaseOptions:
    """Which cases are measured, and where it is written."""

    data: Annotated[Path, arg(metavar="PLACE")]
    """Labelled cases: our manifest, or a folder laid out as nnU-Net raw, BIDS, image/mask pairs or challenge npz. Where
    it has no split of its own, a fifth of the patients are split val, as in a training on it."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """The folder for the results. A run that was stopped goes on in it."""
    split: Annotated[str, arg(metavar="train|val|test|all")] = "val"
    """Which part of the data."""
    kind: Literal["image", "volume", "video"] | None = None
    """Only this kind of cases."""
    set: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Only these sets."""
    most: Annotated[int | None, arg(metavar="N")] = None
    """At most so many cases of a set, an even choice."""
    objects: Annotated[int, arg(metavar="N")] = OBJECTS_A_CASE
    """At most so many objects of a case, an even choice by size."""
    tolerance: float = TOLERANCE
    """Of the NSD: mm in volumes, pixels in pictures and videos."""
    seed: int = 0
    """Of jitter, scribbles and the bootstrap."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    """Side in pixels to which frames are scaled for the net, where the weights file does not say."""
    worst: Annotated[int, arg(metavar="N")] = MOST
    """Of each model, keep so many of the worst cases as small pictures for `voxtrace report`; 0 keeps none."""

    def plan(self, models: tuple[str, ...], **more: Any) -> Plan:
        """The plan for these models and whatever else a command asks. Raises InputError, PromptError."""
        return Plan(
            data=str(self.data),
            models=models,
            split=None if self.split == "all" else self.split,
            kind=self.kind,
            sets=self.set,
            most=self.most,
            objects=self.objects,
            tolerance=self.tolerance,
            seed=self.seed,
            device=self.device,
            image_size=self.image_size,
            worst=self.worst,
            **more,
        )


def carry_out(options: CaseOptions, telling: TellOptions, run: Callable[[Tell], Outcome]) -> int:
    """Run an evaluation with a bar and a report; returns the exit code."""
    outputs.check_folder(options.out)
    if lacking := missing_parquet():
        note(f"note: {lacking}", telling.silent)
    with progress("measuring", telling.silent, "cases") as advance:

        def tell(row: Row, begun: int, total: int) -> None:
            note(row_line(row), telling.silent or sys.stderr.isatty())
            advance(begun, total)

        outcome = run(tell)
    report(outcome, options, telling.json)
    return FAILED if outcome.failed else 0


def report(outcome: Outcome, options: CaseOptions, as_json: bool) -> None:
    """Figures of each contender, then what failed."""
    found = summaries(outcome.rows, seed=options.seed)
    if as_json:
        lost = [{"case": r.case, "object": r.object, "model": r.model, "error": r.error} for r in outcome.failed]
        print_json({"rows": len(outcome.rows), "kept": outcome.kept, "failed": lost, "summaries": found})
        return
    for one in found:
        told = ", z range told" if one["z_range"] else ""
        say(f"{one['model']}, {one['prompt']}{told}")
        for kind, figures in {"overall": one["overall"], **one["by_kind"]}.items():
            say(f"  {kind:8} DSC {figure(figures['dsc'])}  NSD {figure(figures['nsd'])}  n {figures['dsc']['n']}")
    for name in outcome.unasked:
        say(
            f"{name} was not asked: it understands none of these prompts, cannot work on these kinds of cases, or must "
            "be told the slices of volumes (--z-range)"
        )
    for row in outcome.failed:
        say(f"failed  {row.case} object {row.object} ({row.model}, {row.prompt}): {row.error}")
    kept, lost_rows = outcome.kept, len(outcome.failed)
    say(f"{len(outcome.rows)} objects, {kept} of them measured before, {lost_rows} failed: {options.out}")


def figure(values: dict[str, Any]) -> str:
    """0.812 (0.790-0.834)."""
    return f"{values['mean']:.3f} ({values['low']:.3f}-{values['high']:.3f})"


def row_line(row: Row) -> str:
    """One object, for the log."""
    told = " z" if row.z_range else ""
    return (
        f"{row.status:6} {row.model} {row.prompt}{told} {row.case} {row.object}: "
        f"dsc {row.dsc:.3f} nsd {row.nsd:.3f} {row.seconds:.2f} s {row.error}".rstrip()
    )
