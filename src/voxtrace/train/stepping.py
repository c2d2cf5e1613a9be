"""One step: the losses of each of its parts, the gradient of their mean, and what it changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxtrace.model.sam2 import Sam2
from voxtrace.train.clip import clip_losses
from voxtrace.train.distributed import World
from voxtrace.train.losses import FrameLoss, mean_loss
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Way
from voxtrace.train.state import State


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a step's clips: images (B, T, 3, S, S), truth (B, T, S, S), or (B, O, T, S, S) for up to O objects each,
    asked for in one way; number: among the parts of all processes."""

    number: int
    images: Tensor
    truth: Tensor
    way: Way


@dataclass(frozen=True, slots=True)
class Outcome:
    """Means over the parts; loss is None where no frame taught anything. norm: of the gradient, before it was cut."""

    loss: float | None
    dice: float
    present: float
    norm: float


def take_step(state: State, recipe: Recipe, parts: Iterable[Part], count: int, world: World) -> Outcome:
    """Change the net by the mean loss of `count` parts, of which `parts` are this process's own.

    Batch norms see a part at a time, as wherever gradients are accumulated; there is no norm over processes, which on
    CPUs PyTorch has not got either. So a step comes out alike however many processes share it.
    """
    state.optimiser.zero_grad(set_to_none=True)
    sums = [0.0, 0.0, 0.0, 0.0]
    for part in parts:
        losses = _losses(state, recipe, part)
        if not losses:
            continue
        total = mean_loss(losses)
        (total / count).backward()
        dice = torch.stack([loss.dice_score for loss in losses]).mean()
        present = torch.stack([loss.presence_accuracy for loss in losses]).mean()
        sums = [a + b for a, b in zip(sums, (float(total.detach()), float(dice), float(present), 1.0), strict=True)]
    loss, dice_sum, present_sum, taught = world.summed(sums)
    if not taught:
        return Outcome(None, 0.0, 0.0, 0.0)
    weights = [weight for group in state.optimiser.param_groups for weight in group["params"]]
    world.sum_gradients(weights)
    norm = torch.nn.utils.clip_grad_norm_(weights, recipe.clip_norm)
    if torch.isfinite(norm):
        state.optimiser.step()
    else:
        state.forget_statistics()
    return Outcome(loss / count, dice_sum / taught, present_sum / taught, float(norm))


def _losses(state: State, recipe: Recipe, part: Part) -> list[FrameLoss]:
    """All that is random follows from the seed, the step and the part: a resumed run, or a part on another process,
    throws the same dice."""
    rng = np.random.default_rng([recipe.seed, 3, state.step, part.number])
    torch.manual_seed(int(rng.integers(2**31)))
    net, device = state.net, part.images.device
    assert isinstance(net, Sam2)
    with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
        return clip_losses(net, part.images, part.truth, recipe.prompts, recipe.losses, rng, part.way)


def fast_bfloat16(device: torch.device) -> bool:
    """CUDA, or a CPU with AMX tiles: elsewhere bf16 on a CPU is slower than fp32."""
    return device.type == "cuda" or torch.cpu._is_amx_tile_supported()
