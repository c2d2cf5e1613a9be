"""The folder of a batch whose workers are at it: how they know it, and their word of what is done."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from voxtrace.cli.batch_record import as_line

WORKING = ".batch"  # in the output folder, while workers are at it
PROBE = "probe"


@dataclass(frozen=True)
class Slips:
    """A slip is one row of the record, left by a worker whose mask is in place, in case that its answer never comes."""

    folder: Path

    @property
    def probe(self) -> Path:
        """A file that only this run's output folder has: who reads the run's token there can write masks there."""
        return self.folder / PROBE

    def begin(self) -> str:
        """Make the folder and the probe; returns the token."""
        self.folder.mkdir(exist_ok=True)
        token = secrets.token_hex(16)
        self.probe.write_text(token)
        return token

    def of(self, name: str) -> Path:
        """Where the slip of a job lies."""
        return self.folder / f"{sha256(os.fsencode(name)).hexdigest()[:16]}.json"

    def taken_up(self) -> Iterator[dict[str, Any]]:
        """The rows of all slips; each slip is removed when the next one is asked for."""
        for slip in sorted(self.folder.glob("*.json")):
            row = read_slip(slip)
            if row is not None:
                yield row
            slip.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def write_slip(path: Path, row: dict[str, Any]) -> None:
    """Word that a mask is in place, for whoever did not hear it from the worker. Whole or not at all."""
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(as_line(row), encoding="utf-8")
    partial.replace(path)


def read_slip(path: Path) -> dict[str, Any] | None:
    """The row on a slip; None if there is none."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and "out" in row else None
