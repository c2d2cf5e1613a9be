"""Start the jail's program, hand it an order, wait for its report, and leave nothing behind."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import voxtrace
from voxtrace.bench.challenge.sandbox.cgroups import Group
from voxtrace.bench.challenge.sandbox.order import Order, Outcome

SOURCES = Path(voxtrace.__file__).resolve().parents[1]
_GRACE = 30.0  # seconds after the limit in which the jail's own clock must have ended it
# Without site-packages, and with no import but the jail's: it starts in a few hundredths of a second.
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(SOURCES)!r}); "
    "from voxtrace.bench.challenge.sandbox.jail.main import main; main()"
)


def python_command() -> list[str]:
    """The jail's program, to be run by this machine's Python."""
    return [sys.executable, "-I", "-S", "-c", _PROGRAM]


def launch(order: Order, details: dict[str, Any], prefix: Sequence[str] = ()) -> Outcome:
    """Run the order. details: the mode and what belongs to it; prefix: the command that makes the sandbox, if any."""
    with Group(order.limits) as group, order.target.open("wb") as target, order.log.open("wb") as log:
        told, tell = os.pipe()
        files = {"report": tell, "output": target.fileno(), "log": log.fileno()}
        written = details | {
            "limits": asdict(order.limits) | {"cpus": order.limits.cpu_numbers()},
            "files": files,
            "counted": group.counts_memory,
        }
        command = [*_joining(group.member_files), *prefix, *python_command()]
        report = _converse(written, command, told, tell, order.limits.seconds + _GRACE)
        outcome = Outcome(**report)
        if not outcome.stopped and outcome.exit_code and group.killed_for_memory():
            outcome = replace(outcome, stopped="memory")
    return outcome


def _joining(member_files: list[str]) -> list[str]:
    """What to put before a command so that it, and all it starts, is in the group from the beginning."""
    if not member_files:
        return []
    joins = [f"echo 0 > {shlex.quote(file)}" for file in member_files]
    return ["/bin/sh", "-c", " && ".join([*joins, 'exec "$@"']), "sh"]


def _converse(order: dict[str, Any], command: list[str], told: int, tell: int, patience: float) -> dict[str, Any]:
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=order["files"].values(),
            cwd="/",
            start_new_session=True,
        )
        os.close(tell)
        report: bytes | None = b""
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(order).encode())
            process.stdin.close()
            report = _read(told, patience)
        except BrokenPipeError:
            pass  # it has ended: the reason is among its complaints
        finally:
            os.close(told)
            _end(process)
        if report is None:  # what it runs has kept the one who watches from its turn for so long
            return {"seconds": patience, "stopped": "seconds"}
        if report:
            return dict(json.loads(report))
        complaints.seek(0)
        said = complaints.read()[-500:].decode(errors="replace").strip().splitlines()
        return {"problem": said[-1] if said else "the sandbox gave no report"}


def _read(told: int, patience: float) -> bytes | None:
    """All that is told until the other side ends; None if it does not end in time."""
    parts: list[bytes] = []
    until = time.monotonic() + patience
    while select.select([told], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(told, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """The report comes before the end; whoever has not ended then is killed, and all that it holds dies with it."""
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
