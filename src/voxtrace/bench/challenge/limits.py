"""What a submission may use: `memory=8G,cpus=2,seconds=120`."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import Any

from voxtrace.errors import InputError

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MOST = {"seconds": 31_536_000, "memory": 2**50, "disk": 2**50}  # a year, a petabyte: the kernel's own numbers end too
MOST_OTHERS = 2**22  # processes that Linux can number
EXAMPLE = "memory=8G,cpus=2,seconds=120,disk=1G,processes=256"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on one case. memory, disk: bytes of all processes together; seconds: wall clock with start-up.

    cpus 0: as many as there are. The challenge of 2024 gave 8 GB, every core, and no limit in seconds.
    """

    memory: int = 8 * 2**30
    cpus: int = 0
    seconds: float = 600.0
    disk: int = 2**30
    processes: int = 512
    open_files: int = 1024

    def cpu_numbers(self) -> list[int]:
        """Which processors: the last ones of those this process may use; [] for all. Raises InputError if too few."""
        if not self.cpus:
            return []
        usable = usable_cpus()
        if self.cpus > len(usable):
            raise InputError(f"cpus={self.cpus}, but this machine offers {len(usable)}; ask for fewer")
        return usable[-self.cpus :]


def usable_cpus() -> list[int]:
    """The numbers of the processors that this process may use; all of them where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def parse_limits(text: str, usual: Limits | None = None) -> Limits:
    """`memory=8G,cpus=2,seconds=120` -> Limits; what is not named is as in `usual` or by default. Raises InputError."""
    given: dict[str, Any] = {}
    names = [field.name for field in fields(Limits)]
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if name not in names or not equals:
            raise InputError(f"limit {part!r} is not understood; write for example {EXAMPLE}")
        given[name] = _number(name, value)
    return replace(usual or Limits(), **given)


def in_words(size: int) -> str:
    """Bytes as limits are written, in the largest unit that leaves a whole number: 700 * 2**20 -> `700 MB`."""
    unit, factor = next((unit, factor) for unit, factor in reversed(UNITS.items()) if size % factor == 0)
    return f"{size // factor} {unit}B" if unit else f"{size} bytes"


def _number(name: str, text: str) -> float | int:
    unit = text[-1:].upper() if name in ("memory", "disk") and text[-1:].upper() in UNITS else ""
    try:
        number = float(text[: len(text) - len(unit)])
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InputError(f"limit {name}={text}: a number above 0 is needed, for example {EXAMPLE}")
    if number * UNITS[unit] > MOST.get(name, MOST_OTHERS):
        raise InputError(f"limit {name}={text} is too large; at most {MOST.get(name, MOST_OTHERS)}")
    if name == "seconds":
        return number
    whole = round(number * UNITS[unit])
    if whole != number * UNITS[unit] and not unit:
        raise InputError(f"limit {name}={text}: a whole number is needed; parts of a processor cannot be given")
    return whole
