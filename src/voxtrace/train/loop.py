"""The training loop: draw clips, lose, step, average, save. It can be stopped at any time and goes on where it was.

python -m voxtrace.train.loop recipes/voxtrace-small.toml --data DIR --out runs/small
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxtrace.manifest import read_manifest, shipped_training_cases
from voxtrace.model.sam2 import Sam2
from voxtrace.train.beginning import built, checkpointed, set_training
from voxtrace.train.cases import LoadedCase, load_cases
from voxtrace.train.distributed import World, joined
from voxtrace.train.failing import explained
from voxtrace.train.feeding import clips, left_out, parts_of
from voxtrace.train.identity import identity
from voxtrace.train.journal import Journal, write_run
from voxtrace.train.optim import Average, adamw, rate_at, set_rate
from voxtrace.train.recipe import Recipe, read_recipe
from voxtrace.train.samples import Batch
from voxtrace.train.state import NAME, State
from voxtrace.train.stepping import Outcome, Part, take_step
from voxtrace.train.telling import Step, Tell
from voxtrace.train.watching import Watched, choose_watched, draw_sheet

log = logging.getLogger(__name__)

SAVE_EVERY_S = 120.0


def train(
    recipe: Recipe,
    cases: Sequence[LoadedCase],
    out: Path,
    *,
    net: Sam2 | None = None,
    tell: Tell | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Train until the recipe's end and return the state's file in `out`; goes on from it where it is there.

    net: trained in place, with its own config and only where a parameter requires a gradient; the recipe's model,
    stage, start and image size then count for nothing. Without one the net is built as the recipe says.
    tell: is told of each step. facts: of the data, written into run.json as they are.
    Started by torchrun, all processes share each step's parts, and the first one writes.
    Raises TrainingError, InputError, OutputError.
    """
    with joined() as world, ExitStack() as stack:
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.seed)
        net = built(recipe) if net is None else net
        net.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        stack.enter_context(explained(recipe, net.config.image_size))
        stack.enter_context(checkpointed(net, recipe.checkpointing))
        state = State(net, adamw(net, recipe), Average(net, recipe.average), identity(recipe, net))
        state.resume(out / NAME, world.device)
        world.share([*net.parameters(), *net.buffers()])
        set_training(net)
        run = _Run(recipe, cases, out, world, net, state, tell, dict(facts or {}))
        run.go()
        return out / NAME


@dataclass(slots=True)
class _Run:
    """One call of `train`, after everything is in place."""

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

    def go(self) -> None:
        """Take steps until the recipe's end. Only the leader writes."""
        state, world, size = self.state, self.world, self.net.config.image_size
        count = parts_of(self.recipe, world.size)
        own = count // world.size
        drawn = clips(self.recipe, self.cases, size, state.step * own, world.rank, world.size)
        saved = pictured = last = time.monotonic()
        with closing(drawn), ExitStack() as stack:
            if world.leads:
                self._journal = Journal(self.out, state.step)
                stack.callback(self._journal.close)
                if self.recipe.pictures:
                    self._watched = choose_watched(self.recipe, self.cases, size)
            self._write(finished=False)
            while not self._over():
                progress = self._progress()
                rate = self.recipe.rate * rate_at(progress, self.recipe.warm_up, self.recipe.floor)
                set_rate(state.optimiser, rate)
                batches = list(islice(drawn, own))
                outcome = take_step(state, self.recipe, self._parts(batches), count, world)
                state.average.update(self.net)
                state.step += 1
                now = time.monotonic()
                state.seconds = world.agreed(state.seconds + now - last)
                last = now
                self._say(outcome, progress, rate, [batch for _, _, batch in batches])
                if world.leads and now - saved > SAVE_EVERY_S:
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
            self._write(finished=True)

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


def main() -> None:
    """The command line of this module: shipped weights, so only cases that may train them."""
    parser = argparse.ArgumentParser(description="Train a model by a recipe.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="where the state and the log go")
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    train(recipe, load_cases(shipped_training_cases(read_manifest(args.data / "manifest.jsonl"))), args.out)


if __name__ == "__main__":
    main()
