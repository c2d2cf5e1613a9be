"""A training as a person watches it: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voxtrace.cli.terminal import note

if TYPE_CHECKING:
    from voxtrace.train.recipe import Recipe
    from voxtrace.train.telling import Step, Tell

LINE_EVERY_S = 60.0
MEMORY = 0.95  # of the running means shown


@contextmanager
def watched(recipe: Recipe, quiet: bool) -> Iterator[Tell]:
    """Yields what is to be told each step."""
    means = _Means()
    if quiet:
        yield lambda step: None
    elif not sys.stderr.isatty():
        yield _Lines(recipe, means)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.1f} %"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(recipe.name, total=1.0)

            def tell(step: Step) -> None:
                bar.update(task, completed=step.progress, description=f"{recipe.name}: {means.line(step)}")

            yield tell


class _Means:
    """Running means of loss and Dice: single steps jump with what was drawn."""

    def __init__(self) -> None:
        self.loss = self.dice = float("nan")

    def line(self, step: Step) -> str:
        """Such as "step 1200, loss 0.412, Dice 0.893, 34.1 min"."""
        if step.loss is not None:
            keep = 0.0 if self.loss != self.loss else MEMORY
            self.loss = _mixed(self.loss, step.loss, keep)
            self.dice = _mixed(self.dice, step.parts.get("dice", 0.0), keep)
        return f"step {step.step}, loss {self.loss:.3f}, Dice {self.dice:.3f}, {step.seconds / 60:.1f} min"


class _Lines:
    """A line on stderr every minute."""

    def __init__(self, recipe: Recipe, means: _Means) -> None:
        self.recipe, self.means, self.last = recipe, means, 0.0

    def __call__(self, step: Step) -> None:
        line = self.means.line(step)
        if time.monotonic() - self.last > LINE_EVERY_S:
            self.last = time.monotonic()
            note(f"{self.recipe.name}: {line}, {100 * step.progress:.1f} %")


def _mixed(old: float, new: float, keep: float) -> float:
    return new if keep == 0 else keep * old + (1 - keep) * new
