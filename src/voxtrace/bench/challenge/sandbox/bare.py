"""No sandbox: limits alone, for submissions that are trusted, where nothing better works. Only on request.

Time, memory, size of files and number of processes are held; the network, and all files of this user, are open to it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from voxtrace.bench.challenge.sandbox.launching import launch
from voxtrace.bench.challenge.sandbox.order import Order, Outcome
from voxtrace.bench.challenge.sandbox.view import ENVIRONMENT, environment
from voxtrace.bench.challenge.submission import OURS


class Limited:
    """A process with limits, in a folder that looks like the sandbox's /workspace."""

    name = "limits"

    def why_not(self) -> str:
        return "" if sys.platform == "linux" else f"it needs Linux, this is {sys.platform}"

    def run(self, order: Order) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="voxtrace-") as name:
            workspace, scratch = Path(name, "workspace"), Path(name, "tmp")
            for folder in (workspace, scratch, workspace / "outputs"):
                folder.mkdir()
            (workspace / "inputs").symlink_to(order.inputs.resolve())
            for path in order.submission.folder.iterdir() if order.submission.folder else ():
                if path.name not in OURS:
                    (workspace / path.name).symlink_to(path)
            inputs, outputs = str(workspace / "inputs"), str(workspace / "outputs")
            details = {
                "mode": "limits",
                "view": {"room": {"at": [outputs, str(scratch)]}},
                "printed": str(scratch / "printed"),
                "command": order.submission.command_for(inputs, outputs),
                "folder": str(workspace),
                "environment": environment() | dict.fromkeys(ENVIRONMENT.keys() & {"HOME", "TMPDIR"}, str(scratch)),
                "output": os.path.join(outputs, order.output),
            }
            return launch(order, details)
