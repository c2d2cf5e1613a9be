"""The submission's own process, from fork to exec: rights given up, limits set."""

from __future__ import annotations

import os
import resource
import signal
import struct
import time
from typing import Any, NoReturn

from voxtrace.bench.challenge.sandbox.jail import kernel

INSIDE = 1000  # the submission's user and group, as it sees them
_NO_MORE = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_CLOCK = struct.Struct("d")


class CannotStartError(Exception):
    """The command itself could not be started: it is missing, not executable, in a wrong format."""


def start(spec: dict[str, Any], printed: int) -> tuple[int, float]:
    """Start the command; returns (process id, time.monotonic() just before it began).

    Raises CannotStartError if the command is at fault, OSError if the sandbox is.
    printed: the open file for what it prints. spec: `command`, `folder`, `environment`, `limits`, and `owner`: the user
    it shall be outside of the sandbox, None for the same user without a user namespace of its own.
    """
    told, tell = os.pipe()
    waits, allow = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(spec, printed, tell, waits)
    os.close(tell)
    os.close(waits)
    try:
        # Asked for only of one who changes its user: a clock's first byte may be any letter.
        answer = os.read(told, 1) if spec["owner"] is not None else b""
        if answer == b"u":
            _map_user(pid, spec["owner"])
            os.write(allow, b"m")
            answer = b""
        while part := os.read(told, 4096):
            answer += part
    except OSError:
        os.kill(pid, signal.SIGKILL)  # it may have begun, and nobody would watch it
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(told)
        os.close(allow)
    if len(answer) == _CLOCK.size:
        return pid, _CLOCK.unpack(answer)[0]
    os.waitpid(pid, 0)
    clock, text = answer[: _CLOCK.size], answer[_CLOCK.size :].decode(errors="replace")
    raise CannotStartError(text) if any(clock) else OSError(text or "it ended before it began")


def _become(spec: dict[str, Any], printed: int, tell: int, waits: int) -> NoReturn:
    """Turn into the command. Tells the time it began; an error's text follows if the command cannot be started."""
    clock = bytes(_CLOCK.size)
    try:
        kernel.may_be_traced(True)  # so that its files in /proc are its user's; exec would set it anyhow
        _go_first()
        if spec["owner"] is not None:
            _change_user(spec["owner"], tell, waits)
        _set_limits(spec["limits"])
        kernel.no_new_privileges()
        _usual_signals()
        os.setsid()
        os.chdir(spec["folder"])
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (printed, 1), (printed, 2)):
            os.dup2(source, target)
        os.closerange(3, tell)
        os.closerange(tell + 1, 1 << 20)
        os.write(tell, _CLOCK.pack(time.monotonic()))
        clock = b""
        os.execvpe(spec["command"][0], spec["command"], spec["environment"])
    except BaseException as error:  # whatever it is, this process may not go on as if it were its parent
        os.write(tell, clock + str(error).encode())
    finally:
        os._exit(127)


def _go_first() -> None:
    """If the machine runs out of memory, this is what the kernel ends."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _change_user(owner: int, tell: int, waits: int) -> None:
    """Become a user who exists nowhere else, in a user namespace that allows no further namespaces.

    Without them nothing can be mounted, so there is no more room to write than was given. The limit on processes is
    counted for this namespace alone; the kernel would not apply it to root at all.
    """
    if owner != os.geteuid():  # real root, that gives up being root
        os.setgroups([])
    kernel.unshare(kernel.NEW_USER)
    os.write(tell, b"u")
    if os.read(waits, 1) != b"m":
        raise OSError("its user could not be set")
    for kind in _NO_MORE:
        with open(f"/proc/sys/user/max_{kind}_namespaces", "w") as file:
            file.write("0")
    os.setresgid(INSIDE, INSIDE, INSIDE)
    os.setresuid(INSIDE, INSIDE, INSIDE)


def _usual_signals() -> None:
    """As a shell would start it: Python ignores two signals, and the parent waits for a third."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _map_user(pid: int, owner: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{INSIDE} {owner} 1"), ("gid_map", f"{INSIDE} {owner} 1")):
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(text)


def _set_limits(limits: dict[str, Any]) -> None:
    """What the kernel holds each process to. Memory and time of all of them together are watched from outside.

    Virtual memory is bounded at twice the limit: runtimes reserve much that they never touch.
    """
    if limits["cpus"]:
        os.sched_setaffinity(0, limits["cpus"])
    processors = len(limits["cpus"]) or os.cpu_count() or 1
    for which, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, 2 * limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["disk"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_CPU, int(limits["seconds"] * processors) + 5),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 1 << 20),
    ):
        hard = resource.getrlimit(which)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (lower, lower))
