"""What makes a training this one: a state goes on only under the recipe and for the net that it was made with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from voxtrace.checkpoints.nets import to_json
from voxtrace.model.sam2 import Sam2
from voxtrace.train.cases import LoadedCase
from voxtrace.train.recipe import Recipe

# What may change when a run goes on: how long it takes, where it is made, what is watched.
FREE = {"name", "steps", "minutes", "workers", "start", "pictures", "checkpointing", "ships"}
WHOLE = {"lengths", "set_weights"}  # tables whose keys are data


def identity(recipe: Recipe, net: Sam2) -> dict[str, str]:
    """Each number of the recipe that matters, the net's config, and which of its weights are taught."""
    flat = {name: repr(value) for name, value in _flat(asdict(recipe)) if name.split(".")[0] not in FREE}
    return flat | {"the net's config": to_json(net.config), "what is taught": taught(net)}


def cases_of(cases: Sequence[LoadedCase]) -> str:
    """How many cases there are, and a short hash of their names in their order, which decides what is drawn."""
    return f"{len(cases)} cases ({hashlib.sha256(chr(10).join(case.id for case in cases).encode()).hexdigest()[:8]})"


def taught(net: nn.Module) -> str:
    """How many of the net's parameters are taught, and a short hash of their names."""
    names = sorted(name for name, weight in net.named_parameters() if weight.requires_grad)
    total = sum(1 for _ in net.parameters())
    return f"{len(names)} of {total} tensors ({hashlib.sha256(' '.join(names).encode()).hexdigest()[:8]})"


def _flat(table: dict[Any, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        name = f"{before}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, dict) and key not in WHOLE else [(name, value)]
    return found
