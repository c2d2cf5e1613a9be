"""All processes of one submission: who they are, how large they are together, and their end."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT, _THREADS, _PAGES = 1, 17, 21  # places in /proc/PID/stat after the name


class Processes(Protocol):
    """The processes of a submission."""

    def members(self) -> Iterable[int]:
        """Their process ids, without that of the one who watches."""

    def kill(self) -> None:
        """End them all."""

    def unmapped(self) -> int:
        """Bytes of files that exist in memory alone, kept open by them; 0 where the kernel counts them elsewhere."""


class Namespace:
    """All of a process namespace but its first process, which is this one. Killed at once, none can be born.

    room: the device of the files that they may write, which are bounded; None: nothing unmapped need be counted.
    """

    def __init__(self, room: int | None = None) -> None:
        self.room = room

    def members(self) -> Iterable[int]:
        return (int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1")

    def kill(self) -> None:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return  # none is left

    def unmapped(self) -> int:
        if self.room is None:
            return 0
        files = {(f.st_dev, f.st_ino): f.st_blocks * 512 for pid in self.members() for f in _nameless_files(pid)}
        return sum(size for (device, _), size in files.items() if device != self.room)


class Descendants:
    """All that descend from this process, which has adopted the orphans, where no namespace holds them."""

    def members(self) -> Iterable[int]:
        children: dict[int, list[int]] = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and (fields := _fields(int(name))):
                children.setdefault(int(fields[_PARENT]), []).append(int(name))
        found: list[int] = []
        front = [os.getpid()]
        while front:
            front = [child for parent in front for child in children.get(parent, ())]
            found += front
        return found

    def kill(self) -> None:
        """Stop them all before any is killed: each that is stopped bears no more, and none has room for new ones."""
        for number, spared in ((signal.SIGSTOP, "TZX"), (signal.SIGKILL, "ZX")):
            for _ in range(1000):
                living = [pid for pid in self.members() if (_fields(pid) or "X")[0] not in spared]
                if not living:
                    break
                for pid in living:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)

    def unmapped(self) -> int:
        return 0


def sizes(processes: Processes, largest_yet: int) -> tuple[int, int]:
    """(bytes of memory, threads) of all together.

    Pages that several processes share count once if the sum would be a new peak; to find that out takes longer.
    """
    memory = threads = 0
    counted = []
    for pid in processes.members():
        if fields := _fields(pid):
            memory += int(fields[_PAGES]) * PAGE
            threads += int(fields[_THREADS])
            counted.append(pid)
    if len(counted) > 1 and memory > largest_yet:
        memory = sum(_share(pid) for pid in counted)
    return memory + processes.unmapped(), threads


def _nameless_files(pid: int) -> list[os.stat_result]:
    """The plain files without a name that it has open (memfd_create makes such); none if it is gone."""
    found = []
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            about = os.stat(f"/proc/{pid}/fd/{name}")
            if stat.S_ISREG(about.st_mode) and about.st_nlink == 0:
                found.append(about)
    return found


def _share(pid: int) -> int:
    """The process's own pages, and its part of those it shares; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except OSError:  # not allowed to look: all its pages
        return int((_fields(pid) or ["0"] * (_PAGES + 1))[_PAGES]) * PAGE


def _fields(pid: int) -> list[str] | None:
    """/proc/PID/stat from the state on; the name before it may hold anything. None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None
