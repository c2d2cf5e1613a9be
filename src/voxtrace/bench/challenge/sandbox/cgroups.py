"""A control group of its own for a submission, where this process may make one: the kernel counts all its memory.

Watching sizes does not see memory that no process has mapped (files in memory, buffers of sockets). The group does.
What is written to the sandbox's file system is memory too, so the group may hold memory and disk together.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from voxtrace.bench.challenge.limits import Limits

ROOT = Path("/sys/fs/cgroup")
_OWN_NEEDS = 64 * 2**20  # bytes for the process that watches
_OWN_PROCESSES = 8
_numbers = itertools.count()


class Group:
    """Makes the group on entering and removes it on leaving; without the right to, it does nothing."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.folders: list[Path] = []

    @property
    def member_files(self) -> list[str]:
        """A process that writes 0 to these is in."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    @property
    def counts_memory(self) -> bool:
        """Whether the kernel counts the group's memory."""
        return any(any(folder.glob("memory.*")) for folder in self.folders)

    def __enter__(self) -> Group:
        name = f"voxtrace-{os.getpid()}-{next(_numbers)}"
        total = self.limits.memory + self.limits.disk + _OWN_NEEDS
        most = self.limits.processes + _OWN_PROCESSES
        for parent, settings in _parents(total, most):
            folder = parent / name
            _clear(parent)
            try:
                folder.mkdir()
                self.folders.append(folder)
                for file, value in settings.items():
                    if (folder / file).exists():
                        (folder / file).write_text(str(value))
            except OSError:
                self._remove(folder)
        return self

    def killed_for_memory(self) -> bool:
        """Whether the kernel ended a process of the group because its memory was used up."""
        for folder in self.folders:
            for file in ("memory.events", "memory.oom_control"):
                if (folder / file).exists():
                    words = dict(line.split() for line in (folder / file).read_text().splitlines())
                    return int(words.get("oom_kill", 0)) > 0
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in list(self.folders):
            self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """Whoever is still in it, because no namespace held it, is killed."""
        for _ in range(500):
            try:
                for pid in (folder / "cgroup.procs").read_text().split():
                    if pid != "0":  # 0: one that cannot be seen from here; to kill 0 would be to kill ourselves
                        with suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
                folder.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.01)  # its last process is still being buried
        self.folders = [one for one in self.folders if one != folder]


def _clear(parent: Path) -> None:
    """Remove what runs that were killed have left: empty groups whose maker has gone."""
    for folder in parent.glob("voxtrace-*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            with suppress(OSError):
                folder.rmdir()


def available() -> dict[str, bool]:
    """Whether memory and the number of processes can be held by a group here."""
    with Group(Limits()) as group:
        pids = any(any(folder.glob("pids.*")) for folder in group.folders)
        return {"memory": group.counts_memory, "pids": pids}


def _parents(total: int, most: int) -> list[tuple[Path, dict[str, int]]]:
    """Folders to make a group in, with what to write there: one of version 2, or one a controller of version 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    places = {controllers: path.lstrip("/") for _, controllers, path in (line.split(":", 2) for line in lines)}
    settings = {
        "memory": {"memory.max": total, "memory.swap.max": 0, "memory.limit_in_bytes": total},
        "pids": {"pids.max": most},
    }
    if (ROOT / "cgroup.controllers").exists():
        own = ROOT / places.get("", "")
        for folder in (own, *own.parents):
            shared = folder / "cgroup.subtree_control"
            if ROOT not in (folder, *folder.parents) or not shared.exists():
                break
            if "memory" in shared.read_text().split() and os.access(folder, os.W_OK):
                return [(folder, settings["memory"] | settings["pids"])]
        return []
    found = []
    for controllers, path in places.items():
        for controller in settings.keys() & controllers.split(","):
            folder = ROOT / controllers / path
            if folder.is_dir() and os.access(folder, os.W_OK):
                found.append((folder, settings[controller]))
    return found
