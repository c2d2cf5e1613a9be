"""What a training left in its folder, read for a report."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.errors import CaseMissingError, InputError

LOG, RUN = "log.csv", "run.json"
LAST = 0.2  # share of the steps that "at the end" means


@dataclass(frozen=True, slots=True)
class Row:
    """One step of the log. kind: length and way of its clips, as the report calls them."""

    step: int
    seconds: float
    loss: float | None
    dice: float
    rate: float
    length: int
    way: str
    sets: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Such as "3 frames, clip"."""
        return f"{self.length} frame{'s' if self.length > 1 else ''}, {self.way}"


def read_run(folder: Path) -> dict[str, Any]:
    """run.json. Raises CaseMissingError where there is none, InputError where it is damaged."""
    path = folder / RUN
    if not path.is_file():
        raise CaseMissingError(f"there is no {path}: {folder} is not the folder of a training")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    return found


def read_steps(path: Path) -> list[Row]:
    """The steps of the log; a line that was cut off is left out."""
    if not path.is_file():
        return []
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            try:
                loss = float(line["loss"]) if line["loss"] else None
                numbers = (int(line["step"]), float(line["seconds"]), loss, float(line["dice"]), float(line["rate"]))
                rows.append(Row(*numbers, int(line["length"]), line["way"], tuple(line["sets"].split())))
            except (TypeError, ValueError, KeyError):
                continue
    return rows


def at_the_end(rows: Sequence[Row]) -> list[Row]:
    """Steps at the end that taught something."""
    return [row for row in rows[-max(1, round(len(rows) * LAST)) :] if row.loss is not None]


def by_kind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """By length and way of the clips, the most frequent first."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.loss is not None:
            found[row.kind].append(row)
    return dict(sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])))
