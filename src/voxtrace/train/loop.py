"""The training loop: draw clips, lose, step, average, save. It can be stopped at any time and goes on where it was.

python -m voxtrace.train.loop recipes/voxtrace-small.toml --data DIR --out runs/small
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from voxtrace.manifest import read_manifest
from voxtrace.model.sam2 import Sam2
from voxtrace.train.beginning import built, checkpointed, set_training
from voxtrace.train.cases import LoadedCase, load_cases
from voxtrace.train.distributed import joined
from voxtrace.train.failing import explained
from voxtrace.train.gathering import shipped
from voxtrace.train.identity import cases_of, identity
from voxtrace.train.optim import Average, optimiser
from voxtrace.train.recipe import Recipe, read_recipe
from voxtrace.train.running import Run
from voxtrace.train.state import NAME, State
from voxtrace.train.telling import Tell


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
        average = Average(net, recipe.average)
        state = State(net, optimiser(net, recipe), average, identity(recipe, net), cases_of(cases))
        state.resume(out / NAME, world.device)
        world.check_same(state.step, out / NAME)
        world.share([*net.parameters(), *net.buffers()])
        set_training(net)
        Run(recipe, cases, out, world, net, state, tell, dict(facts or {})).go()
        return out / NAME


def main() -> None:
    """The command line of this module: shipped weights, so only cases that may train them."""
    parser = argparse.ArgumentParser(description="Train a model by a recipe.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="where the state and the log go")
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    train(recipe, load_cases(shipped(read_manifest(args.data / "manifest.jsonl"), recipe)), args.out)


if __name__ == "__main__":
    main()
