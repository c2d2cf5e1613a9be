"""The optimiser, its schedule and the running average of the weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from voxtrace.errors import InputError
from voxtrace.train.muon import Muon, Optimiser, Together
from voxtrace.train.recipe import Recipe

BLOCK = re.compile(r"image_encoder\.trunk\.(?:blocks\.|stages\.|body\.stages_)(\d+)\.")
FEWEST = 4
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
FIRST = tuple(f"image_encoder.trunk.{part}." for part in ("patch_embed", "stem", "body.stem"))


def optimiser(net: nn.Module, recipe: Recipe) -> Optimiser:
    """AdamW of what requires a gradient, decayed as `decayed` says; Muon of the layers that are narrow enough for it.

    Each group holds its share of the rate as `share`; `set_rate` multiplies it in.
    """
    depth = _depth(net)
    matrices = {id(weight) for weight in decayed(net)}
    narrow = {id(weight) for weight in _narrow(net, recipe.muon)}
    groups: dict[tuple[float, bool, bool], list[Tensor]] = {(1.0, True, False): [], (1.0, False, False): []}
    for name, weight in net.named_parameters():
        if weight.requires_grad:
            key = share_of(name, depth, recipe), id(weight) in matrices, id(weight) in narrow
            groups.setdefault(key, []).append(weight)
    if not any(groups.values()):
        raise InputError("nothing is left to train: every parameter of the net is frozen")
    by_muon: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for (share, is_decayed, is_narrow), weights in groups.items():
        decay = recipe.weight_decay * is_decayed
        share *= recipe.muon_rate if is_narrow else 1.0
        by_muon[is_narrow].append({"params": weights, "weight_decay": decay, "share": share})
    adamw = torch.optim.AdamW(by_muon[False], lr=recipe.rate, betas=(0.9, recipe.beta2), fused=True)
    return Together(adamw, Muon(by_muon[True], lr=recipe.rate)) if by_muon[True] else adamw


def _narrow(net: nn.Module, side: int) -> list[nn.Parameter]:
    """Weights of layers that are matrices of more than FEWEST and at most `side` outputs or inputs, the fewer of them.
    Not depthwise convolutions, which are rows that have nothing to do with one another."""
    layers = [m for m in net.modules() if isinstance(m, LAYERS) and getattr(m, "groups", 1) == 1]
    weights: list[nn.Parameter] = [layer.weight for layer in layers]  # type: ignore[misc]
    return [w for w in weights if FEWEST < min(len(w), w[0].numel()) <= side]


def decayed(net: nn.Module) -> list[nn.Parameter]:
    """Weights that decay: of layers, also of those with one output, and tables of several rows. Biases, norms and
    single vectors (embeddings of one row) do not."""
    of_layers = {id(layer.weight) for layer in net.modules() if isinstance(layer, LAYERS)}
    return [w for w in net.parameters() if w.ndim > 1 and (len(w) > 1 or id(w) in of_layers)]


def share_of(name: str, depth: int, recipe: Recipe) -> float:
    """A parameter's share of the rate. In a trunk of `depth` blocks the last has `layer_decay` of the encoder's rate,
    each one before it as much less again, the patch embedding least; position tables have all of it (as in SAM 2's
    training, and BEiT's before it: Bao et al. 2021, arXiv:2106.08254)."""
    if not name.startswith("image_encoder."):
        return 1.0
    share = 1.0 if recipe.encoder_rate is None else recipe.encoder_rate / recipe.rate
    place = BLOCK.match(name)
    if place:
        return share * recipe.layer_decay ** (depth - int(place[1]))
    return share * recipe.layer_decay ** (depth + 1) if name.startswith(FIRST) else share


def _depth(net: nn.Module) -> int:
    """Blocks in the trunk, or stages where those are numbered; 0 where it is made of neither."""
    return 1 + max((int(found[1]) for name, _ in net.named_parameters() if (found := BLOCK.match(name))), default=-1)


def set_rate(optimiser: Optimiser, rate: float) -> None:
    """Give each group its share of the rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


def rate_at(progress: float, warm_up: float, floor: float = 0.01) -> float:
    """Factor of the peak rate at `progress` 0..1: linear warm-up, then half a cosine down to `floor`."""
    if progress < warm_up:
        return max(progress / warm_up, 1e-3)
    fraction = min(1.0, (progress - warm_up) / (1 - warm_up))
    return floor + (1 - floor) * (1 + math.cos(math.pi * fraction)) / 2


class Average:
    """Exponential moving average of weights and buffers; young averages forget faster. What is frozen is not copied."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0
        frozen = {name for name, weight in net.named_parameters() if not weight.requires_grad}
        self.moving = [name for name in net.state_dict() if name not in frozen]
        self.state = {
            name: value.detach() if name in frozen else value.detach().clone()
            for name, value in net.state_dict().items()
        }

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards the net's present weights."""
        self.count += 1
        decay = min(self.decay, self.count / (self.count + 10))
        moved: tuple[list[Tensor], list[Tensor]] = ([], [])
        present = net.state_dict()
        for name in self.moving:
            kept: Tensor = self.state[name]
            if kept.is_floating_point():
                moved[0].append(kept)
                moved[1].append(present[name])
            else:
                kept.copy_(present[name])
        if moved[0]:
            torch._foreach_lerp_(moved[0], moved[1], 1 - decay)

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor], count: int) -> None:
        """Go on from an earlier average of the same net."""
        self.count = count
        for name in self.moving:
            self.state[name].copy_(state[name])
