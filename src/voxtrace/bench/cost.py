"""What a piece of work costs: seconds of wall clock, and the most memory that the process held meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RESET, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(slots=True)
class Cost:
    """Filled when the work ends, also when it fails. peak_mb: None where the system does not tell (not Linux)."""

    seconds: float = 0.0
    peak_mb: float | None = None


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure what is done inside. The peak holds all that the process has, imports and weights included."""
    cost = Cost()
    known = _reset_peak()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = round(time.perf_counter() - start, 4)
        cost.peak_mb = _peak_mb() if known else None


def _reset_peak() -> bool:
    """Linux forgets the peak so far (proc(5), clear_refs 5); elsewhere a peak would be the whole process's."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return True


def _peak_mb() -> float | None:
    for line in STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return None
