"""Make a training's average into a weights file that describes itself.

    python -m voxtrace.train.ship runs/small/state.pt --recipe recipes/voxtrace-small.toml --data DIR \
        --card cards/voxtrace-small.md --out src/voxtrace/weights/voxtrace-small.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from voxtrace.checkpoints.saving import save
from voxtrace.manifest import Case, read_manifest
from voxtrace.model.config import CONFIGS
from voxtrace.model.sam2 import Sam2
from voxtrace.train.cases import LoadedCase, load_cases
from voxtrace.train.feeding import clips
from voxtrace.train.gathering import shipped
from voxtrace.train.recipe import Recipe, read_recipe


def ship(state: Path, recipe_file: Path, data: Path, card: Path, out: Path) -> str:
    """Write the file in float16 and return its sha256."""
    recipe = read_recipe(recipe_file)
    config = CONFIGS[recipe.model].at(recipe.image_size)
    found = torch.load(state, weights_only=True, map_location="cpu")
    net = Sam2(config)
    net.load_state_dict(found["average"])
    cases = shipped(read_manifest(data / "manifest.jsonl"), recipe)
    settle_norms(net, recipe, load_cases(cases))
    metadata = {
        "card": card.read_text() if card.is_file() else "",
        "licence": "Apache-2.0",
        "data_sha256": data_sha256(cases),
        "data_sets": json.dumps(sorted({case.set for case in cases})),
        "steps": str(found["step"]),
    }
    save(out, net, config, metadata, half=True)
    return hashlib.sha256(out.read_bytes()).hexdigest()


@torch.no_grad()
def settle_norms(net: Sam2, recipe: Recipe, cases: Sequence[LoadedCase], batches: int = 60) -> None:
    """Measure the batch norms' means and variances anew: those kept in training belong to weights that moved on."""
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    net.train()
    drawn = clips(replace(recipe, workers=0), cases, net.config.image_size, start=1_000_000)
    for images, _, _ in itertools.islice(drawn, batches):
        net.encode(images.flatten(0, 1))
    net.eval()


def data_sha256(cases: Sequence[Case | LoadedCase]) -> str:
    """Hash of the list of training cases: their ids in order."""
    return hashlib.sha256("\n".join(sorted(case.id for case in cases)).encode()).hexdigest()


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Write a trained state as a weights file that describes itself.")
    parser.add_argument("state", type=Path)
    for name in ("recipe", "data", "card", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    print(ship(args.state, args.recipe, args.data, args.card, args.out))


if __name__ == "__main__":
    main()
