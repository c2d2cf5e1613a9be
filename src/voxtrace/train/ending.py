"""A finished training as a weights file that every command takes, with its config, and a card beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from voxtrace.checkpoints.reader import read_header
from voxtrace.checkpoints.registered import lookup
from voxtrace.checkpoints.saving import save
from voxtrace.errors import OutputError
from voxtrace.model.config import CONFIGS
from voxtrace.model.sam2 import Sam2
from voxtrace.train.cases import LoadedCase
from voxtrace.train.recipe import Recipe
from voxtrace.train.ship import settle_norms

NAME, CARD = "weights.safetensors", "weights.md"
SETTLED_BY = 60  # batches for the norms' means


def write_weights(state: Path, recipe: Recipe, cases: Sequence[LoadedCase], facts: Mapping[str, Any]) -> Path | None:
    """Write the state's average as NAME beside it, and its card. None for the stage "refiner".

    Running means of batch norms are measured anew on the training's clips, as for the embedded weights. facts: of the
    data, with `data_sha256`. Raises OutputError.
    """
    if recipe.stage != "net":
        return None
    found = torch.load(state, weights_only=True, map_location="cpu")
    config = CONFIGS[recipe.model].at(recipe.image_size)
    net = Sam2(config)
    net.load_state_dict(found["average"])
    if found["step"] and any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules()):
        batches = min(SETTLED_BY, max(4, int(found["step"])))
        settle_norms(net, replace(recipe, frames=min(recipe.frames, 16), parts=1), cases, batches)
    text = card(recipe, cases, facts, int(found["step"]), float(found["trained_s"]) / 60)
    metadata = {
        "card": text,
        "licence": licence(recipe.start),
        "data_sha256": str(facts.get("data_sha256", "")),
        "data_sets": json.dumps(sorted({case.set for case in cases})),
        "steps": str(found["step"]),
        "recipe": json.dumps(asdict(recipe)),
    }
    file = state.with_name(NAME)
    save(file, net.eval(), config, metadata)
    try:
        state.with_name(CARD).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{state.with_name(CARD)} cannot be written: {error.strerror}") from None
    return file


def licence(start: str) -> str:
    """One line: what it began with goes on, and a training adds none of its own."""
    head = f"began with {start}: {_licence_of(start)}; " if start else ""
    return f"{head}the data you trained on decides what you may share"


def card(recipe: Recipe, cases: Sequence[LoadedCase], facts: Mapping[str, Any], steps: int, minutes: float) -> str:
    """Markdown."""
    counts = Counter((case.set, case.modality, case.kind) for case in cases)
    drawn = recipe.samples.synthetic > 0
    lines = [
        f"# {recipe.name}",
        "",
        f"- Net: {recipe.model}, frames at {recipe.image_size} px, begun with {recipe.start or 'random weights'}.",
        f"- Trained by `voxtrace train`: {steps:,} steps, {minutes:.1f} minutes, seed {recipe.seed}.",
        f"- Licence: {licence(recipe.start)}. Cases: {facts.get('licences', 'not said')}.",
        "- **How good: not measured yet.** Run `voxtrace evaluate --model FILE` on cases that it has not seen.",
        "- Not a medical device: a person checks every mask.",
        "",
        f"## Data: {len(cases)} cases{', and made-up ones' if drawn else ''}",
        "",
        *(f"- {name} ({modality}, {kind}): {count}" for (name, modality, kind), count in sorted(counts.items())),
        "",
        f"sha256 of the list of cases: {facts.get('data_sha256', 'not known')}",
        "",
    ]
    return "\n".join(lines)


def _licence_of(start: str) -> str:
    registered = lookup(start)
    if registered:
        return registered.licence
    path = Path(start)
    written = read_header(path).metadata.get("licence", "") if path.suffix == ".safetensors" and path.is_file() else ""
    return written or "licence not stated"
