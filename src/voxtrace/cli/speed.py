"""`voxtrace bench speed`: how fast and how large our engines are beside published code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from voxtrace.bench.files import write_json
from voxtrace.cli import outputs
from voxtrace.cli.terminal import note, print_json, say

if TYPE_CHECKING:
    from voxtrace.bench.speed.plan import Plan

Rows = Literal["volume", "objects", "small", "click", "encoder", "startup", "memory"]
Engines = Literal["auto", "torch", "openvino", "onnxruntime"]
References = Literal["transformers", "sam2"]


@dataclass(frozen=True)
class Speed:
    """Time our engines beside transformers and the official sam2 (`make oracle`) with the same SAM 2.1 tiny weights,
    sides taking turns in one run; each figure beside its floor and its goal. Takes about an hour; see --only."""

    out: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE.json")] = None
    """The results with the machine's description. It is written anew where it is there."""
    only: Annotated[tuple[Rows, ...], arg(metavar="ROW [ROW ...]")] = ()
    """Only these: volume, objects, small, click, encoder, startup, memory."""
    engine: Annotated[tuple[Engines, ...], arg(metavar="NAME [NAME ...]")] = ("auto",)
    """Ours, each measured; all but torch with exported graphs, which are made first."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of ours; the references compute in fp32."""
    reference: Annotated[tuple[References, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Only these: transformers, sam2. By default all that are installed."""
    weights: Annotated[Path | None, arg(metavar="FILE.safetensors")] = None
    """SAM 2.1 tiny in safetensors with the official names. By default random weights."""
    slices: int = 32
    """Of the volume at 512 px; four times as many where memory is measured."""
    threads: int = 2
    """Threads, and cores, of every side."""
    repeats: int = 2
    """Turns of every side after one to warm up; the best counts."""
    quick: bool = False
    """Few small slices, to see that it runs: these figures say nothing."""
    json: bool = False
    """The results as JSON instead of a table."""

    def run(self) -> int:
        """Measure; returns 0."""
        from voxtrace.bench.speed.run import speed

        if self.out is not None:
            outputs.check_file(self.out, [], overwrite=True, suffixes=(".json",))
        if self.weights is not None:
            outputs.check_input(self.weights, "weights file")
        report = speed(self._plan(), lambda line: note(line, self.json), command=sys.argv[1:])
        if self.out is not None:
            write_json(self.out, report)
        if self.json:
            print_json(report)
        else:
            for row in report["rows"]:
                say(line(row))
        return 0

    def _plan(self) -> Plan:
        from voxtrace.bench.speed.plan import Plan
        from voxtrace.bench.speed.work import Work
        from voxtrace.errors import InputError

        least = {"--threads": (self.threads, 1), "--repeats": (self.repeats, 1), "--slices": (self.slices, 2)}
        for name, (value, fewest) in least.items():
            if value < fewest:
                raise InputError(f"{name} {value}: give a whole number of at least {fewest}")
        plan = Plan(
            work=Work(self.slices),
            long=4 * self.slices,
            repeats=self.repeats,
            threads=self.threads,
            engines=tuple(dict.fromkeys(self.engine)),
            precision=self.precision,
            references=self.reference,
            weights=self.weights,
            only=self.only or Plan().only,
        )
        return plan.quick() if self.quick else plan


def line(row: dict[str, Any]) -> str:
    """A row in words."""
    parts = [f"{row['work']} [{row['engine']}]: {row['ours_s']:g} s"]
    if row["reference_s"] is not None:
        parts.append(f"{row['reference']} {row['reference_s']:g} s")
    if "ours_mb" in row:
        parts.append(f"{row['ours_mb']} and {row['reference_mb']} MB")
    parts += [f"{name} {row[name]:g}" for name in ("ratio", "iou") if row[name] is not None]
    return f"{', '.join(parts)}; floor {row['floor_s']:g} s; {row['goal']}: {'yes' if row['reached'] else 'no'}"
