"""The training loop: draw clips, lose, step, average, save. It can be stopped at any time and goes on where it was.

python -m voxtrace.train.loop recipes/voxtrace-small.toml --data DIR --out runs/small
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from voxtrace.errors import InputError
from voxtrace.manifest import read_manifest, shipped_training_cases
from voxtrace.model.config import CONFIGS
from voxtrace.model.sam2 import Sam2
from voxtrace.train.alone import RefinerAlone
from voxtrace.train.cases import load_cases
from voxtrace.train.clip import clip_losses
from voxtrace.train.optim import Average, adamw, rate_at
from voxtrace.train.recipe import Recipe, read_recipe
from voxtrace.train.samples import Batch, Sampler, Way
from voxtrace.train.synth import SynthPool

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None] * 255
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None] * 255


def train(recipe: Recipe, data: Path, out: Path, save_every_s: float = 120.0) -> Path:
    """Train until the recipe's end and return the last state's file; resumes from it when it is there."""
    out.mkdir(parents=True, exist_ok=True)
    state_file = out / "state.pt"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(recipe.seed)
    kind = {"refiner": RefinerAlone, "net": Sam2}[recipe.stage]
    net = kind(CONFIGS[recipe.model].at(recipe.image_size)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.start:
        net.load_state_dict(_weights(Path(recipe.start), device))
    optimiser = adamw(net, recipe.rate, recipe.weight_decay)
    average = Average(net, recipe.average)
    step, trained_s = _resume(state_file, net, optimiser, average, device)
    rng = np.random.default_rng([recipe.seed, step])
    drawn = clips(recipe, data, step)
    net.train()
    saved = last = time.monotonic()
    with (out / "log.jsonl").open("a") as log:
        while step < recipe.steps and trained_s < recipe.minutes * 60:
            progress = max(step / recipe.steps, trained_s / (recipe.minutes * 60))
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * rate_at(progress, recipe.warm_up)
            images, masks, batch = next(drawn)
            row = _step(net, optimiser, recipe, images.to(device), masks.to(device), rng, batch.way)
            average.update(net)
            step += 1
            now = time.monotonic()
            trained_s, last = trained_s + now - last, now
            row |= {"step": step, "seconds": round(trained_s, 1), "length": images.shape[1], "way": batch.way}
            row["sets"] = [meta["set"] for meta in batch.metas]
            log.write(json.dumps(row) + "\n")
            log.flush()
            if now - saved > save_every_s:
                saved = now
                _save(state_file, net, optimiser, average, step, trained_s)
    _save(state_file, net, optimiser, average, step, trained_s)
    return state_file


def _weights(start: Path, device: torch.device) -> dict[str, Tensor]:
    """The average of an earlier state, or a file that was shipped."""
    if not start.is_file():
        raise InputError(f"there is no file {start} to start from; the recipe's `start` names a state or weights file")
    if start.suffix == ".safetensors":
        return {name: weight.float() for name, weight in load_file(start, device=str(device)).items()}
    average: dict[str, Tensor] = torch.load(start, weights_only=True, map_location=device)["average"]
    return average


def _step(
    net: Sam2,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    images: Tensor,
    masks: Tensor,
    rng: np.random.Generator,
    way: Way = "clip",
) -> dict[str, object]:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=_fast_bfloat16(images.device)):
        losses = clip_losses(net, images, masks, recipe.prompts, recipe.losses, rng, way)
    if not losses:
        return {"loss": None}
    total = torch.stack([loss.total for loss in losses]).mean()
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm)
    if torch.isfinite(norm):
        optimiser.step()
    return {
        "loss": round(float(total.detach()), 4),
        "dice": [round(float(loss.dice_score), 3) for loss in losses],
        "present": [round(float(loss.presence_accuracy), 3) for loss in losses],
        "norm": round(float(norm), 3),
    }


def _fast_bfloat16(device: torch.device) -> bool:
    """CUDA, or a CPU with AMX tiles: elsewhere bf16 on a CPU is slower than fp32."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


def clips(recipe: Recipe, data: Path, step: int) -> Iterator[tuple[Tensor, Tensor, Batch]]:
    """Endless batches: images (B, T, 3, S, S) normalised, masks (B, T, S, S) 0 and 1, and what they were made of."""
    cases = load_cases(shipped_training_cases(read_manifest(data / "manifest.jsonl")))
    lengths = [length for length, chance in recipe.lengths.items() for _ in range(round(chance * 20))]
    sampler = Sampler(cases, SynthPool(seed=recipe.seed), recipe.seed, lengths, recipe.samples)
    for batch in sampler.batches(recipe.frames, recipe.workers, start=step):
        images = (batch.images.float() - MEAN) / STD
        yield images, batch.masks.float(), batch


def _save(
    path: Path, net: Sam2, optimiser: torch.optim.Optimizer, average: Average, step: int, trained_s: float
) -> None:
    state = {
        "model": net.state_dict(),
        "average": average.state,
        "average_count": average.count,
        "optimizer": optimiser.state_dict(),
        "step": step,
        "trained_s": trained_s,
    }
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _resume(
    path: Path, net: Sam2, optimiser: torch.optim.Optimizer, average: Average, device: torch.device
) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True, map_location=device)
    net.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimizer"])
    average.state, average.count = state["average"], state["average_count"]
    return state["step"], state["trained_s"]


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Train a model by a recipe.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.jsonl")
    parser.add_argument("--out", type=Path, required=True, help="where the state and the log go")
    args = parser.parse_args()
    train(read_recipe(args.recipe), args.data, args.out)


if __name__ == "__main__":
    main()
