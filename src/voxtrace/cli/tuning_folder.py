"""Where a fine-tuning is kept: the weights file, its card beside it, and the folder of all else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voxtrace.bench.files import write_json
from voxtrace.cli import outputs
from voxtrace.errors import InputError, OutputError
from voxtrace.train.frozen import LIST
from voxtrace.train.lora import LowRank
from voxtrace.train.recipe import Recipe
from voxtrace.train.tuned_card import Story

SETTINGS = "finetune.json"
OTHERS = (".pt", ".pth", ".ckpt", ".bin", ".onnx", ".md", ".json", ".jsonl", ".toml")


def places(out: Path, model: str) -> tuple[Path, Path]:
    """The weights file, and the folder of all else. Raises OutputError."""
    if out.suffix in OTHERS and not out.is_dir():
        raise OutputError(f"the output {out} cannot be a {out.suffix} file; name it .safetensors, or give a folder")
    file = out if out.suffix == ".safetensors" and not out.is_dir() else out / f"{model}-tuned.safetensors"
    folder = file.with_name(f"{file.stem}-run")
    outputs.check_folder(folder)
    if file.exists() and not (folder / SETTINGS).is_file():
        raise OutputError(
            f"the output {file} exists already and is not of a fine-tuning in {folder}; choose another --out"
        )
    return file, folder


def card_file(file: Path) -> Path:
    """The card beside a weights file."""
    return file.with_suffix(".md")


def forget_unbegun(folder: Path) -> None:
    """Take away a list of frozen cases that no training followed: what stopped it may have been the list."""
    if not (folder / SETTINGS).is_file():
        (folder / LIST).unlink(missing_ok=True)


def begin(folder: Path, story: Story, recipe: Recipe, low_rank: LowRank | None) -> None:
    """Write down what decides the training, or see that a folder begun before was begun so. Raises InputError."""
    settings = {
        "base": story.base.name,
        "base_sha256": story.base.sha256,
        "way": story.way,
        "adapters": [low_rank.rank, low_rank.alpha] if low_rank else None,
        "image_size": story.image_size,
        "rate": recipe.rate,
        "frames": recipe.frames,
        "cases": {case.id: story.hashes[case.id] for case in story.trained_on},
    }
    path = folder / SETTINGS
    if not path.is_file():
        outputs.make_folder(folder)
        write_json(path, settings)
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in settings if begun.get(name) != settings[name]]
    if changed:
        told = ", ".join(f"{name} ({_short(begun.get(name))}, now {_short(settings[name])})" for name in changed)
        raise InputError(f"{folder} was begun with another {told}; choose another --out, or ask as before")


def _short(value: Any) -> str:
    """What differs, in a word or two."""
    if isinstance(value, dict):
        return f"{len(value)} of them"
    return "none" if value is None else str(value)[:40]
