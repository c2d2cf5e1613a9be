"""`voxtrace evaluate`: how well models do on labelled cases."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from voxtrace import engines
from voxtrace.bench.asking import KINDS, ONE_PROMPT
from voxtrace.bench.evaluate import Outcome, evaluate
from voxtrace.bench.plan import TOLERANCE, Plan
from voxtrace.bench.truths import OBJECTS_A_CASE
from voxtrace.cli import outputs
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.errors import InputError
from voxtrace.eval.results import Row, missing_parquet
from voxtrace.eval.summary import summaries

FAILED = 3
PROMPTS = "|".join([*(kind for kind in KINDS if kind not in ("click-jitter", "wrong-clicks")), ONE_PROMPT])


@dataclass(frozen=True)
class Evaluate:
    """Measure models on labelled cases: results.csv and .parquet with a row an object, summary.json with means and
    95 % intervals, lock.json to repeat it. A run that was stopped goes on. Exit code 3 if some cases failed."""

    data: Annotated[Path, arg(metavar="MANIFEST")]
    """A manifest (.jsonl, or the folder with manifest.jsonl), a folder of challenge .npz with gts, or with
    --predictions a folder of reference masks."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """The folder for the results."""
    model: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Names of `voxtrace weights list`, weights files, or what needs no weights: ellipse, grabcut, random-walker,
    carried. summary.json is of the first, summaries.json of all. By default voxtrace-small."""
    prompt: Annotated[tuple[str, ...], arg(metavar=PROMPTS)] = ("box",)
    """How objects are marked. box-jitter moves each side of the box by up to a tenth of its size, box-jitter:0.2 by up
    to a fifth."""
    predictions: Annotated[Path | None, arg(metavar="DIR")] = None
    """Masks made elsewhere, instead of a model: one for each case, with the stem of its image."""
    split: Annotated[str, arg(metavar="train|val|test|all")] = "val"
    """Which part of the manifest."""
    kind: Literal["image", "volume", "video"] | None = None
    """Only this kind of cases."""
    set: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Only these sets."""
    most: Annotated[int | None, arg(metavar="N")] = None
    """At most so many cases of a set, an even choice."""
    objects: Annotated[int, arg(metavar="N")] = OBJECTS_A_CASE
    """At most so many objects of a case, an even choice by size."""
    z_range: Literal["no", "yes", "both"] = "no"
    """Whether volumes are asked with the slices told between which the object lies."""
    tolerance: float = TOLERANCE
    """Of the NSD: mm in volumes, pixels in pictures and videos."""
    seed: int = 0
    """Of jitter, scribbles and the bootstrap."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    """Side in pixels to which frames are scaled for the net, where the weights file does not say."""
    json: bool = False
    """Print the summaries as one JSON object."""
    quiet: bool = False
    """No progress bar and no notes."""

    def run(self) -> int:
        """Measure; returns 0, or 3 if some cases failed."""
        if self.model and self.predictions:
            raise InputError("--model and --predictions together: masks are either made here or elsewhere")
        return run_plan(self.plan(), self.out, "evaluate", self.json, self.quiet)

    def plan(self) -> Plan:
        """What is asked for."""
        return Plan(
            data=str(self.data),
            models=() if self.predictions else self.model or (engines.DEFAULT_MODEL,),
            prompts=self.prompt,
            z_ranges={"no": (False,), "yes": (True,), "both": (False, True)}[self.z_range],
            predictions=str(self.predictions or ""),
            split=None if self.split == "all" else self.split,
            kind=self.kind,
            sets=self.set,
            most=self.most,
            objects=self.objects,
            tolerance=self.tolerance,
            seed=self.seed,
            device=self.device,
            image_size=self.image_size,
        )


def run_plan(plan: Plan, out: Path, what: str, as_json: bool, quiet: bool) -> int:
    """Evaluate with a bar and a report; returns the exit code."""
    outputs.check_folder(out)
    if lacking := missing_parquet():
        note(f"note: {lacking}", quiet)
    with progress("measuring", quiet or as_json, "cases") as advance:

        def tell(row: Row, begun: int, total: int) -> None:
            note(row_line(row), quiet or as_json or sys.stderr.isatty())
            advance(begun, total)

        outcome = evaluate(plan, out, tell, command=sys.argv[1:], what=what)
    report(outcome, out, as_json)
    return FAILED if outcome.failed else 0


def report(outcome: Outcome, out: Path, as_json: bool) -> None:
    """Figures of each contender, then what failed."""
    found = summaries(outcome.rows)
    if as_json:
        failures = [
            {"case": row.case, "object": row.object, "model": row.model, "error": row.error} for row in outcome.failed
        ]
        print_json({"rows": len(outcome.rows), "kept": outcome.kept, "failed": failures, "summaries": found})
        return
    for one in found:
        told = ", z range told" if one["z_range"] else ""
        say(f"{one['model']}, {one['prompt']}{told}")
        for kind, figures in {"overall": one["overall"], **one["by_kind"]}.items():
            say(f"  {kind:8} DSC {figure(figures['dsc'])}  NSD {figure(figures['nsd'])}  n {figures['dsc']['n']}")
    for row in outcome.failed:
        say(f"failed  {row.case} object {row.object} ({row.model}, {row.prompt}): {row.error}")
    say(f"{len(outcome.rows)} objects, {outcome.kept} of them measured before, {len(outcome.failed)} failed: {out}")


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
