"""A training while it runs: steps, what is told and written of them, and when to save and to end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from voxtrace.errors import TrainingError
from voxtrace.model.sam2 import Sam2
from voxtrace.train.cases import LoadedCase
from voxtrace.train.distributed import World
from voxtrace.train.feeding import clips, left_out, parts_of
from voxtrace.train.journal import Journal, write_run
from voxtrace.train.optim import rate_at, set_rate
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Batch
from voxtrace.train.state import NAME, State
from voxtrace.train.stepping import Outcome, Part, take_step
from voxtrace.train.stopping import save_every_s, stoppable
from voxtrace.train.telling import Step, Tell
from voxtrace.train.watching import Watched, choose_watched, draw_sheet

log = logging.getLogger(__name__)

SAVE_EVERY_S = 120.0
LOST_STEPS = 50  # in a row without a finite gradient


@dataclass(slots=True)
class Run:
    """One call of `train`, after everything is in place. facts: of the data, for run.json."""

    recipe: Recipe
    cases: Sequence[LoadedCase]
    out: Path
    world: World
    net: Sam2
    state: State
    tell: Tell | None
    facts: dict[str, Any]
    _journal: Journal | None = None
    _watched: list[Watched] = field(default_factory=list)
    _lost: int = 0

    def go(self) -> None:
        """Take steps until the recipe's end. Only the leader writes."""
        state, world, size = self.state, self.world, self.net.config.image_size
        count = parts_of(self.recipe, world.size)
        own = count // world.size
        drawn = clips(self.recipe, self.cases, size, state.step * own, world.rank, world.size)
        saved = pictured = last = time.monotonic()
        every = save_every_s(self.recipe.minutes, SAVE_EVERY_S)
        with closing(drawn), stoppable() as stop, ExitStack() as stack:
            if world.leads:
                self._journal = Journal(self.out, state.step)
                stack.callback(self._journal.close)
                if self.recipe.pictures:
                    self._watched = choose_watched(self.recipe, self.cases, size)
            self._write(finished=False)
            while not self._over() and not world.agreed(float(stop.asked)):
                progress = self._progress()
                rate = self.recipe.rate * rate_at(progress, self.recipe.warm_up, self.recipe.floor)
                set_rate(state.optimiser, rate)
                batches = list(islice(drawn, own))
                outcome = take_step(state, self.recipe, self._parts(batches), count, world)
                self._check(outcome)
                state.average.update(self.net)
                state.step += 1
                now = time.monotonic()
                state.seconds = world.agreed(state.seconds + now - last)
                last = now
                self._say(outcome, progress, rate, [batch for _, _, batch in batches])
                if world.leads and now - saved > every:
                    saved = now
                    state.save(self.out / NAME)
                    self._write(finished=False)
                if self._watched and now - pictured > self.recipe.pictures * 60:
                    pictured = now
                    draw_sheet(self.net, self._watched, self.out, state.step)
            if world.leads:
                state.save(self.out / NAME)
                if self._watched and state.step:
                    draw_sheet(self.net, self._watched, self.out, state.step)
            self._write(finished=self._over())
            if not self._over():
                raise stop.stopped(state.step)

    def _check(self, outcome: Outcome) -> None:
        """Steps without a finite gradient change nothing; many of them in a row mean that the net is lost."""
        self._lost = 0 if math.isfinite(outcome.norm) else self._lost + 1
        if self._lost >= LOST_STEPS:
            raise TrainingError(
                f"no gradient has been finite for {LOST_STEPS} steps, up to step {self.state.step}: the net is lost. "
                f"Begin in another folder with a lower rate than {self.recipe.rate:g}, a longer warm_up or a lower "
                "clip_norm"
            )

    def _over(self) -> bool:
        return self.state.step >= self.recipe.steps or self.state.seconds >= self.recipe.minutes * 60

    def _progress(self) -> float:
        return max(self.state.step / self.recipe.steps, self.state.seconds / (self.recipe.minutes * 60))

    def _parts(self, batches: Sequence[tuple[Tensor, Tensor, Batch]]) -> Generator[Part, None, None]:
        """This process's parts, by their number among all."""
        device = self.world.device
        for index, (images, truth, batch) in enumerate(batches):
            number = index * self.world.size + self.world.rank
            yield Part(number, images.to(device), truth.to(device), batch.way)

    def _say(self, outcome: Outcome, progress: float, rate: float, batches: Sequence[Batch]) -> None:
        """Log the step and name what was found to be corrupt, once."""
        state = self.state
        found = self.world.gathered({name: why for batch in batches for name, why in left_out(batch).items()})
        new = {name: why for name, why in found.items() if name not in state.left_out}
        state.left_out |= new
        if not self.world.leads:
            return
        for name, why in new.items():
            log.warning("case %s is left out: %s", name, why)
        first, sets = batches[0], tuple(meta["set"] for batch in batches for meta in batch.metas)
        parts = {"dice": outcome.dice, "present": outcome.present}
        told = Step(
            state.step,
            progress,
            outcome.loss,
            parts,
            state.seconds,
            rate,
            outcome.norm,
            first.images.shape[1],
            first.way,
            sets,
            new,
        )
        assert self._journal is not None
        self._journal.write(told)
        if self.tell is not None:
            self.tell(told)

    def _write(self, finished: bool) -> None:
        if self.world.leads:
            state = self.state
            told = {"step": state.step, "seconds": state.seconds, "finished": finished, "left_out": state.left_out}
            write_run(self.out, self.recipe, self.cases, self.world, facts=self.facts, **told)  # type: ignore[arg-type]
