"""What became of each misdeed of the submission that misbehaves, and whether anything of it got out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from voxtrace.bench.challenge.running import LOGS
from voxtrace.bench.challenge.runs import Run

MISBEHAVING = "misbehaving"
MARK = "voxtrace-misdeed"  # in the name of every file that it tries to leave and of every process that tries to stay
_PLACES = ("/", "/usr", "/usr/bin", "/etc", "/home", "/root", "/tmp", "/var/tmp", "/dev/shm", "/opt", "/dev")


@dataclass(frozen=True, slots=True)
class Misdeed:
    """One case. deed: what the submission said it would do. status ... peak_memory: what the runner wrote down.

    escaped: files and processes with its mark that were on this machine after the whole run, in every case the same.
    """

    case: str
    deed: str
    status: str
    message: str
    seconds: float
    peak_memory: int | None
    escaped: tuple[str, ...]


def misdeeds(run: Run, escaped: list[str]) -> list[Misdeed]:
    """A Misdeed for each case of the run; what it would do is the first line that it printed."""
    found = []
    for row in run.rows:
        lines = (run.folder / LOGS / f"{row.case}.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        deed = "".join(letter for letter in lines[0] if letter.isprintable())[:80] if lines else ""
        outcome = (row.status, row.message, row.seconds, row.peak_memory)
        found.append(Misdeed(row.case, deed, *outcome, tuple(escaped)))
    return found


def left_behind(*folders: Path) -> list[str]:
    """Files with the mark in the places that it tries and in `folders`, and living processes with it."""
    files = [f"{place}/{name}" for place in _PLACES if os.path.isdir(place) for name in os.listdir(place)]
    files += [str(path) for folder in folders for path in folder.rglob("*")]
    return [path for path in files if MARK in path.rpartition("/")[2]] + _processes()


def _processes() -> list[str]:
    """Those that stay: one that was killed may be seen for a moment more."""
    patience = time.monotonic() + 5.0
    while (found := _living()) and time.monotonic() < patience:
        time.sleep(0.05)
    return found


def _living() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if MARK in words:
            found.append(f"process {path.parent.name}: {words.strip()}")
    return found
