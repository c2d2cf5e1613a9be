"""The log of a training: a row a step in log.csv, and what the run was made of in run.json."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import torch

from voxtrace import __version__
from voxtrace.errors import OutputError
from voxtrace.train.cases import LoadedCase
from voxtrace.train.distributed import World
from voxtrace.train.recipe import Recipe
from voxtrace.train.telling import Step

LOG, RUN = "log.csv", "run.json"
COLUMNS = (
    "step",
    "seconds",
    "progress",
    "loss",
    "dice",
    "present",
    "rate",
    "norm",
    "length",
    "way",
    "sets",
    "left_out",
)


class Journal:
    """log.csv in a training's folder. Rows after `step`, of a run that was killed, are taken out: they come again."""

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        kept = [row for row in read_log(self.path) if int(row["step"]) <= step]
        part = self.path.with_suffix(".part")
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        os.replace(part, self.path)
        self._file: TextIO = self.path.open("a", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)

    def write(self, told: Step) -> None:
        """Add a row; it is on the disk at once, to be watched. Raises OutputError."""
        parts = told.parts
        loss = "" if told.loss is None else f"{told.loss:.7g}"
        numbers = (f"{parts.get(name, float('nan')):.4f}" for name in ("dice", "present"))
        row = (told.step, f"{told.seconds:.1f}", f"{told.progress:.5f}", loss, *numbers, f"{told.rate:.4g}")
        texts = (f"{told.norm:.4g}", told.length, told.way, " ".join(told.sets), " ".join(told.left_out))
        try:
            self._writer.writerow((*row, *texts))
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a log; none where there is no file. A row that was cut off is left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values() and row.get("step", "").isdigit()]


def write_run(
    folder: Path,
    recipe: Recipe,
    cases: Sequence[LoadedCase],
    world: World,
    *,
    step: int,
    seconds: float,
    finished: bool,
    left_out: Mapping[str, str],
    facts: Mapping[str, Any],
) -> None:
    """Write run.json: recipe, data, machine and how far it is.

    facts: what the caller knows of the data; its `left_out` joins the other.
    """
    content = {
        "recipe": asdict(recipe),
        "finished": finished,
        "step": step,
        "seconds": round(seconds, 1),
        "processes": world.size,
        "cases": dict(sorted(Counter(case.set for case in cases).items())),
        "machine": machine(world),
        **facts,
        "left_out": {**facts.get("left_out", {}), **left_out},
    }
    part = folder / f"{RUN}.part"
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, folder / RUN)


def machine(world: World) -> dict[str, str]:
    """Versions and hardware, as far as they change results or time."""
    device = torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "CPU"
    return {
        "voxtrace": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "threads": str(torch.get_num_threads()),
    }
