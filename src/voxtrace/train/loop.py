"""The training loop: draw clips, lose, step, average, save. It can be stopped at any time and goes on where it was.

python -m voxtrace.train.loop recipes/voxtrace-small.toml --data DIR --out runs/small
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
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
from voxtrace.train.cases import LoadedCase, load_cases
from voxtrace.train.clip import clip_losses
from voxtrace.train.optim import Average, adamw, rate_at
from voxtrace.train.recipe import Recipe, read_recipe
from voxtrace.train.samples import Batch, Sampler, Way
from voxtrace.train.state import NAME, State
from voxtrace.train.synth import SynthPool
from voxtrace.train.telling import Step, Tell

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None] * 255
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None] * 255
SAVE_EVERY_S = 120.0


def train(
    recipe: Recipe, cases: Sequence[LoadedCase], out: Path, *, net: Sam2 | None = None, tell: Tell | None = None
) -> Path:
    """Train until the recipe's end and return the state's file in `out`; goes on from it where it is there.

    net: trained in place, with its own config and only where a parameter requires a gradient; the recipe's model,
    stage, start and image size then count for nothing. Without one the net is built as the recipe says.
    tell: is told of each step.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(recipe.seed)
    net = (built(recipe) if net is None else net).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(net, adamw(net, recipe.rate, recipe.weight_decay), Average(net, recipe.average))
    state.resume(out / NAME, device)
    set_training(net)
    drawn = clips(recipe, cases, net.config.image_size, state.step)
    saved = last = time.monotonic()
    with (out / "log.jsonl").open("a") as log, closing(drawn):
        while state.step < recipe.steps and state.seconds < recipe.minutes * 60:
            progress = max(state.step / recipe.steps, state.seconds / (recipe.minutes * 60))
            rate = recipe.rate * rate_at(progress, recipe.warm_up)
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            images, masks, batch = next(drawn)
            rng = np.random.default_rng([recipe.seed, 3, state.step])
            loss, parts, norm = _step(state, recipe, images.to(device), masks.to(device), rng, batch.way)
            state.average.update(net)
            state.step += 1
            now = time.monotonic()
            state.seconds, last = state.seconds + now - last, now
            sets = tuple(meta["set"] for meta in batch.metas)
            told = Step(state.step, progress, loss, parts, state.seconds, rate, norm, images.shape[1], batch.way, sets)
            log.write(json.dumps(asdict(told)) + "\n")
            log.flush()
            if tell is not None:
                tell(told)
            if now - saved > SAVE_EVERY_S:
                saved = now
                state.save(out / NAME)
    state.save(out / NAME)
    return out / NAME


def built(recipe: Recipe) -> Sam2:
    """The net that a recipe names, from its start where it has one, else from random weights."""
    kind = {"refiner": RefinerAlone, "net": Sam2}[recipe.stage]
    net = kind(CONFIGS[recipe.model].at(recipe.image_size))
    if recipe.start:
        net.load_state_dict(_weights(Path(recipe.start)))
    return net


def _weights(start: Path) -> dict[str, Tensor]:
    """The average of an earlier state, or a file that was shipped."""
    if not start.is_file():
        raise InputError(f"there is no file {start} to start from; the recipe's `start` names a state or weights file")
    if start.suffix == ".safetensors":
        return {name: weight.float() for name, weight in load_file(start).items()}
    average: dict[str, Tensor] = torch.load(start, weights_only=True, map_location="cpu")["average"]
    return average


def set_training(net: Sam2) -> None:
    """Training mode, but batch norms whose weights are frozen keep their statistics too."""
    net.train()
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and not any(
            weight.requires_grad for weight in module.parameters()
        ):
            module.eval()


def _step(
    state: State, recipe: Recipe, images: Tensor, masks: Tensor, rng: np.random.Generator, way: Way
) -> tuple[float | None, dict[str, float], float]:
    """Loss, its parts and the gradient's norm."""
    net = state.net
    with torch.autocast(images.device.type, torch.bfloat16, enabled=_fast_bfloat16(images.device)):
        losses = clip_losses(net, images, masks, recipe.prompts, recipe.losses, rng, way)  # type: ignore[arg-type]
    if not losses:
        return None, {}, 0.0
    total = torch.stack([loss.total for loss in losses]).mean()
    state.optimiser.zero_grad(set_to_none=True)
    total.backward()
    norm = torch.nn.utils.clip_grad_norm_(net.parameters(), recipe.clip_norm)
    if torch.isfinite(norm):
        state.optimiser.step()
    parts = {
        "dice": sum(float(loss.dice_score) for loss in losses) / len(losses),
        "present": sum(float(loss.presence_accuracy) for loss in losses) / len(losses),
    }
    return float(total.detach()), parts, float(norm)


def _fast_bfloat16(device: torch.device) -> bool:
    """CUDA, or a CPU with AMX tiles: elsewhere bf16 on a CPU is slower than fp32."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()


def clips(
    recipe: Recipe, cases: Sequence[LoadedCase], image_size: int, step: int
) -> Generator[tuple[Tensor, Tensor, Batch], None, None]:
    """Endless batches: images (B, T, 3, S, S) normalised, masks (B, T, S, S) 0 and 1, and what they were made of."""
    lengths = [length for length, chance in recipe.lengths.items() for _ in range(round(chance * 20))]
    pool = SynthPool(seed=recipe.seed) if recipe.samples.synthetic else None
    sampler = Sampler(cases, pool, recipe.seed, lengths, replace(recipe.samples, size=image_size))
    for batch in sampler.batches(recipe.frames, recipe.workers, start=step):
        images = (batch.images.float() - MEAN) / STD
        yield images, batch.masks.float(), batch


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
