"""Start one submission on one case, inside of what keeps it, and report how it went.

The order comes as JSON on stdin, the report goes as JSON to an open file. This process is the launcher; in the mode
`namespaces` its child is the first process of the sandbox, trusted, and the submission is a child of that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from typing import Any

from voxtrace.bench.challenge.sandbox.jail import kernel
from voxtrace.bench.challenge.sandbox.jail.attend import attend
from voxtrace.bench.challenge.sandbox.jail.child import CannotStartError, start
from voxtrace.bench.challenge.sandbox.jail.filesystem import enter_view
from voxtrace.bench.challenge.sandbox.jail.output import Written, copy_tail, deliver, is_full
from voxtrace.bench.challenge.sandbox.jail.processes import Descendants, Namespace


def main() -> None:
    """Carry out the order on stdin.

    mode: `namespaces` makes the sandbox; `inside` is started as the first process of one that is made; `limits` has
    none. A problem of the sandbox, not of the submission, is reported as {"problem": text}.
    """
    order = json.load(sys.stdin)
    kernel.die_with_parent()
    try:
        {"namespaces": _in_namespaces, "inside": _inside, "limits": _with_limits}[order["mode"]](order)
    except OSError as error:
        _report(order, {"problem": str(error)})


def _in_namespaces(order: dict[str, Any]) -> None:
    apart = kernel.NEW_MOUNTS | kernel.NEW_PID | kernel.NEW_NET | kernel.NEW_IPC | kernel.NEW_UTS | kernel.NEW_CGROUP
    owner = order["private_user"]
    if owner is None:  # not root: root of a namespace in which only we are
        user, group = os.geteuid(), os.getegid()
        kernel.unshare(kernel.NEW_USER | apart)
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        owner = 0
    else:
        kernel.unshare(apart)
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    try:
        kernel.die_with_parent()
        printed = enter_view(order["view"], owner)
        _run(order | {"owner": owner}, printed)
    except OSError as error:
        _report(order, {"problem": str(error)})
    finally:
        os._exit(0)


def _inside(order: dict[str, Any]) -> None:
    printed = os.open(order["printed"], os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    _run(order | {"owner": os.geteuid()}, printed)


def _with_limits(order: dict[str, Any]) -> None:
    kernel.adopt_orphans()
    printed = os.open(order["printed"], os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    _run(order | {"owner": None}, printed)


def _run(order: dict[str, Any], printed: int) -> None:
    kernel.may_be_traced(False)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    try:
        pid, began = start(order, printed)
    except CannotStartError as error:
        _report(order, {"not_started": str(error)})
        return
    room = order["view"]["room"]["at"]
    if order["mode"] == "limits":
        used = Written(room)
        seen = attend(pid, began, order["limits"], Descendants(), used)
        full = used.now() >= order["limits"]["disk"]  # a single file ends at the limit itself
    else:
        seen = attend(pid, began, order["limits"], Namespace(None if order["counted"] else os.stat(room[0]).st_dev))
        full = any(is_full(folder) for folder in room)
    missing = deliver(order["output"], order["files"]["output"], order["limits"]["disk"])
    copy_tail(printed, order["files"]["log"])
    _report(order, asdict(seen) | {"full": full, "missing": missing})


def _report(order: dict[str, Any], report: dict[str, Any]) -> None:
    os.write(order["files"]["report"], json.dumps(report).encode())
