"""The teacher's prompt encoder, decoder and memory in the student, as far as their shapes fit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxtrace.model.sam1 import Sam1
from voxtrace.train.distilling.nets import config_of

SAM2_NAMES = {"prompt_encoder": "sam_prompt_encoder", "mask_decoder": "sam_mask_decoder"}
OWN = "image_encoder"


@dataclass(frozen=True, slots=True)
class Inherited:
    """Names of the parts that were taken over and of those that were not, two levels deep."""

    taken: tuple[str, ...]
    left: tuple[str, ...]


@torch.no_grad()
def inherit(student: nn.Module, teacher: nn.Module) -> Inherited:
    """Copy every part whose tensors all have their like in the teacher; half a part would be of no use.

    Nothing is copied where the embeddings differ in width. Image encoders are never copied: that is what is learned.
    """
    own, given = _named(student), _named(teacher)
    if config_of(student).dim != config_of(teacher).dim:
        given = {}
    parts: dict[str, list[str]] = defaultdict(list)
    for name in own:
        if not name.startswith(OWN):
            parts[".".join(name.split(".")[:2])].append(name)
    fits = {
        part: all(name in given and given[name].shape == own[name].shape for name in names)
        for part, names in parts.items()
    }
    for part, names in parts.items():
        if fits[part]:
            for name in names:
                own[name].copy_(given[name])
    return Inherited(tuple(p for p in parts if fits[p]), tuple(p for p in parts if not fits[p]))


def _named(net: nn.Module) -> dict[str, Tensor]:
    """A net's tensors under SAM 2's names."""
    state: dict[str, Tensor] = dict(net.state_dict())
    if not isinstance(net, Sam1):
        return state
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    first, _, rest = name.partition(".")
    return f"{SAM2_NAMES.get(first, first)}.{rest}"
