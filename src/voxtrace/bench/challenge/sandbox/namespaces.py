"""The sandbox made by this program itself with Linux namespaces: nothing needs to be installed.

Processes, files, network, host name, shared memory and users of their own; the submission is a user without rights, of
a number that nobody else has, and all its processes end with the first one.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from voxtrace.bench.challenge.sandbox.launching import launch
from voxtrace.bench.challenge.sandbox.order import Order, Outcome
from voxtrace.bench.challenge.sandbox.trial import trial
from voxtrace.bench.challenge.sandbox.view import environment, view_of
from voxtrace.bench.challenge.submission import INPUTS, OUTPUTS

_NOBODY_ELSE = 1_879_000_000  # plus our own process id: a user number that is not given out


class Namespaces:
    """Needs Linux 5.14 or later and, unless run by root, that users may make namespaces."""

    name = "namespaces"

    def why_not(self) -> str:
        return _why_not()

    def run(self, order: Order) -> Outcome:
        details = {
            "mode": "namespaces",
            "private_user": _NOBODY_ELSE + os.getpid() if os.geteuid() == 0 else None,
            "view": view_of(order),
            "command": order.submission.command_for(INPUTS, OUTPUTS),
            "folder": "/workspace",
            "environment": environment(),
            "output": f"{OUTPUTS}/{order.output}",
        }
        return launch(order, details)


@lru_cache(maxsize=1)
def _why_not() -> str:
    return trial(Namespaces()) if sys.platform == "linux" else f"it needs Linux, this is {sys.platform}"
