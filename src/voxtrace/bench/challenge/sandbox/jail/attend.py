"""Attend to a running submission: its time, its memory, its end."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from voxtrace.bench.challenge.sandbox.jail.output import Written
from voxtrace.bench.challenge.sandbox.jail.processes import Processes, sizes

_LOOK_EVERY = 0.02  # seconds
_AT_ONCE = 256
_URGENT = -10


@dataclass
class Seen:
    """What was seen of a submission. stopped: the limit that ended it (seconds, memory, disk), "" for none."""

    seconds: float = 0.0
    exit_code: int = 0
    stopped: str = ""
    peak_memory: int = 0
    most_threads: int = 0


def attend(pid: int, began: float, limits: dict[str, Any], processes: Processes, used: Written | None = None) -> Seen:
    """Wait until `pid` ends or a limit is broken, then kill all processes. SIGCHLD is blocked since before it began.

    Looks every 20 ms: a shorter peak of several processes together may be missed; that of the largest single one is
    kept by the kernel and exact. used: what is written, where no file system bounds it; looked at once more at the end,
    when nobody is left to write.
    """
    seen = Seen()
    with suppress(OSError):  # not allowed to all: a crowd of processes must not keep the one who watches from its turn
        os.setpriority(os.PRIO_PROCESS, 0, _URGENT)
    # To look at the memory of one who forks all the time means to wait for it, and the limit would pass meanwhile.
    clock = threading.Timer(max(0.0, began + limits["seconds"] - time.monotonic()), processes.kill)
    clock.daemon = True
    clock.start()
    while True:
        signal.sigtimedwait([signal.SIGCHLD], _LOOK_EVERY)
        seen.seconds = time.monotonic() - began
        if _reap(pid, seen):
            seen.stopped = _broken(seen, seen.peak_memory, limits, used)
            break
        memory, threads = sizes(processes, seen.peak_memory)
        seen.peak_memory, seen.most_threads = max(seen.peak_memory, memory), max(seen.most_threads, threads)
        seen.stopped = _broken(seen, memory, limits, used)
        if seen.stopped:
            break
    clock.cancel()
    processes.kill()
    _reap_all(seen)
    if not seen.stopped and used is not None and used.now() > limits["disk"]:
        seen.stopped = "disk"
    return seen


def _broken(seen: Seen, memory: int, limits: dict[str, Any], used: Written | None) -> str:
    if memory > limits["memory"]:
        return "memory"
    if seen.seconds > limits["seconds"]:
        return "seconds"
    return "disk" if used is not None and used.lately() > limits["disk"] else ""


def _reap(pid: int, seen: Seen) -> bool:
    """Take note of those that have ended; whether `pid` is among them. Not of all: a fork bomb's never end ending."""
    ended = False
    for _ in range(_AT_ONCE):
        try:
            found, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if found == 0:
            return ended
        seen.peak_memory = max(seen.peak_memory, usage.ru_maxrss * 1024)
        if found == pid:
            seen.exit_code, ended = os.waitstatus_to_exitcode(status), True
    return ended


def _reap_all(seen: Seen) -> None:
    while True:
        try:
            usage = os.wait4(-1, 0)[2]
        except ChildProcessError:
            return
        seen.peak_memory = max(seen.peak_memory, usage.ru_maxrss * 1024)
