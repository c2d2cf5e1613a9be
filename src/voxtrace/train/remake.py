"""The embedded weights from nothing: the refiner alone, then the whole net, then the file.

    python -m voxtrace.train.remake --data DIR --out out/weights --to src/voxtrace/weights/voxtrace-small.safetensors

Stopped at any time it goes on where it was. The file is copied to its place when all is done, and not before.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from voxtrace.errors import TrainingError, VoxtraceError
from voxtrace.manifest import read_manifest
from voxtrace.train.gathering import load_each, shipped
from voxtrace.train.loop import train
from voxtrace.train.recipe import Recipe, read_recipe
from voxtrace.train.ship import ship

RECIPES = (Path("recipes/voxtrace-small-refiner.toml"), Path("recipes/voxtrace-small.toml"))
CARD = Path("cards/voxtrace-small.md")


def remake(recipes: Sequence[Path], data: Path, card: Path, out: Path, to: Path) -> str:
    """Train one stage after the other, each from what the one before ended with; returns the file's sha256.

    data: the folder with manifest.jsonl; only cases that may train shipped weights are seen. to: replaced at the end.
    """
    stages = [read_recipe(path) for path in recipes]
    tell(plan(stages))
    cases = shipped(read_manifest(data / "manifest.jsonl"), stages[-1])
    if not cases:
        raise TrainingError(f"no training case in {data} is marked may_train_shipped_weights; nothing may be shipped")
    loaded, left_out = load_each(cases)
    state: Path | None = None
    for number, (stage, path) in enumerate(zip(stages, recipes, strict=True), 1):
        stage = stage if state is None else replace(stage, start=str(state))
        tell(f"stage {number} of {len(stages)}: {stage.name} ({path}), {stage.minutes:g} minutes")
        state = train(stage, loaded, out / f"{number}-{stage.name}", facts={"data": str(data), "left_out": left_out})
    assert state is not None
    made = out / to.name
    sha256 = ship(state, recipes[-1], data, card, made)
    part = to.with_name(to.name + ".part")
    shutil.copyfile(made, part)
    part.replace(to)
    tell(f"{to}: sha256 {sha256}")
    return sha256


def plan(stages: Sequence[Recipe]) -> str:
    """How long it takes, said before it begins."""
    parts = " + ".join(f"{stage.minutes:g}" for stage in stages)
    total = sum(stage.minutes for stage in stages)
    return f"this takes {total:g} minutes of training ({parts}), and some to load and to ship; stopped, it goes on"


def tell(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Train the embedded weights anew.")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="where the stages' states, logs and the file go")
    parser.add_argument("--to", type=Path, required=True, help="the file that is replaced in the end")
    parser.add_argument("--recipes", type=Path, nargs="+", default=RECIPES)
    parser.add_argument("--card", type=Path, default=CARD)
    args = parser.parse_args(argv)
    try:
        remake(args.recipes, args.data, args.card, args.out, args.to)
    except VoxtraceError as error:
        tell(f"error: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
