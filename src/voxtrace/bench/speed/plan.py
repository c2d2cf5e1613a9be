"""What is measured, as a value; and the files that it needs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxtrace.bench.speed.goals import ROWS
from voxtrace.bench.speed.official import oracle_folder
from voxtrace.bench.speed.side import SIDES, Order
from voxtrace.bench.speed.weights import random_tiny
from voxtrace.bench.speed.work import Work
from voxtrace.engines.choosing import installed
from voxtrace.errors import MissingDependencyError, ModelError

TINY, SMALL = "sam2.1_hiera_tiny", "voxtrace-small"


@dataclass(frozen=True, slots=True)
class Plan:
    """repeats: turns of each side after one to warm up; the best counts. engines: ours, each measured. references: what
    they are measured beside; empty: all that are here. weights: SAM 2.1 tiny; None: random ones. long: slices of the
    volume whose memory is measured. size: of the matrices by which the processor's rate is measured."""

    work: Work = field(default_factory=Work)
    objects: int = 8
    long: int = 128
    repeats: int = 2
    threads: int = 2
    engines: tuple[str, ...] = ("auto",)
    precision: str = "auto"
    references: tuple[str, ...] = ()
    weights: Path | None = None
    only: tuple[str, ...] = ROWS
    size: int = 2048

    def quick(self) -> Plan:
        """The same on a volume of a few small slices: to see that it runs, not to learn how fast."""
        return replace(self, work=Work(4, 128), objects=2, long=6, repeats=1, size=256)


def references_here(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those that can be measured. Raises an error for what is asked for and not here."""
    found = []
    if installed("transformers"):
        found.append("transformers")
    elif "transformers" in asked:
        raise MissingDependencyError("transformers", "test", "the comparison with Sam2VideoModel")
    if (oracle_folder() / "sam2").is_dir():
        found.append("sam2")
    elif "sam2" in asked:
        raise ModelError(f"the official sam2 is not in {oracle_folder()}: run `make oracle`")
    if unknown := set(asked) - set(SIDES):
        raise ModelError(f"the reference {sorted(unknown)[0]!r} is unknown; one of {', '.join(SIDES[1:])}")
    return tuple(name for name in found if not asked or name in asked)


class Models:
    """SAM 2.1 tiny for all sides: the weights file, and its graphs for engines that run these."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self._graphs = folder / "graphs"
        self.weights = plan.weights or folder / f"{TINY}.safetensors"
        if plan.weights is None:
            random_tiny(self.weights, plan.work.side)

    def reference(self, side: str, work: Work) -> Order:
        """An order to a published code."""
        return Order(side, work, str(self.weights), threads=self.plan.threads)

    def tiny(self, engine: str, work: Work) -> Order:
        """An order to ours, with the weights of the references."""
        model = self.weights if engine == "torch" else self._exported()
        return self._ours(engine, work, str(model))

    def small(self, engine: str, work: Work) -> Order:
        """An order to ours, with the embedded weights."""
        return replace(self._ours(engine, work, SMALL), image_size=None)

    def _ours(self, engine: str, work: Work, model: str) -> Order:
        plan = self.plan
        return Order("voxtrace", work, model, plan.work.side, engine, plan.precision, plan.threads)

    def _exported(self) -> Path:
        if not self._graphs.exists():
            size = ["--image-size", str(self.plan.work.side)]
            command = [sys.executable, "-m", "voxtrace", "export", str(self.weights), "-o", str(self._graphs), *size]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode:
                raise ModelError(f"exporting SAM 2.1 tiny failed: {run.stderr.strip() or run.stdout.strip()}")
        return self._graphs
