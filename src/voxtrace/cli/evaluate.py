"""`voxtrace evaluate`: how well models do on labelled cases."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from voxtrace import engines
from voxtrace.bench.asking import KINDS, ONE_PROMPT, SORTED
from voxtrace.bench.evaluate import evaluate
from voxtrace.cli.measuring import Z_RANGES, CaseOptions, carry_out
from voxtrace.cli.options import TellOptions
from voxtrace.errors import InputError

PROMPTS = "|".join([*(kind for kind in KINDS if kind not in ("click-jitter", "wrong-clicks")), ONE_PROMPT])


@dataclass(frozen=True)
class Evaluate:
    """Measure models on labelled cases: results.csv and .parquet with a row an object, summary.json with means and
    95 % intervals, lock.json to repeat it. A run that was stopped goes on. Exit code 3 if some cases failed."""

    cases: CaseOptions
    model: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Names of `voxtrace weights list`, weights files, or what needs no weights: ellipse, grabcut, random-walker,
    carried. summary.json is of the first, summaries.json of all. By default voxtrace-small."""
    prompt: Annotated[tuple[str, ...], arg(metavar=PROMPTS)] = ("box",)
    """How objects are marked. box-jitter moves each side of the box by up to a tenth of its size, box-jitter:0.2 by up
    to a fifth."""
    memory: tuple[Literal["self-sorting", "fifo", "none"], ...] = ("self-sorting",)
    """What a set of pictures with one prompt is recalled by (--prompt oneprompt): pictures chosen by the self-sorting
    bank, the last ones, or none but the marked one. Several are measured one after the other."""
    z_range: Literal["no", "yes", "both"] = "no"
    """Whether volumes are asked with the slices told between which the object lies."""
    predictions: Annotated[Path | None, arg(metavar="DIR")] = None
    """Masks made elsewhere, instead of a model: one for each case, with the stem of its image. With it, --data may also
    be a folder of reference masks."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Measure; returns 0, or 3 if some cases failed."""
        if self.model and self.predictions:
            raise InputError("--model and --predictions together: masks are either made here or elsewhere")
        plan = self.cases.plan(
            () if self.predictions else self.model or (engines.DEFAULT_MODEL,),
            prompts=self._prompts(),
            z_ranges=Z_RANGES[self.z_range],
            predictions=str(self.predictions or ""),
        )
        return carry_out(
            self.cases, self.telling, lambda tell: evaluate(plan, self.cases.out, tell, command=sys.argv[1:])
        )

    def _prompts(self) -> tuple[str, ...]:
        """Each one-prompt asked once for each memory."""
        asked = [ONE_PROMPT if memory == SORTED else f"{ONE_PROMPT}:{memory}" for memory in self.memory]
        return tuple(way for prompt in self.prompt for way in (asked if prompt == ONE_PROMPT else [prompt]))
