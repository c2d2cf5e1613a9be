"""Whether a sandbox works here is found out by running something in it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from voxtrace.bench.challenge.limits import Limits
from voxtrace.bench.challenge.sandbox.order import Order, Sandbox
from voxtrace.bench.challenge.submission import Submission

_LIMITS = Limits(memory=2**28, seconds=10, disk=2**20, processes=16)


def trial(sandbox: Sandbox) -> str:
    """Run `true` in it; returns what went wrong, "" for nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("inputs", "submission"):
            (folder / part).mkdir(mode=0o755)
        submission = Submission("trial", ("true",), folder / "submission")
        outcome = sandbox.run(Order(submission, folder / "inputs", "none", folder / "out", folder / "log", _LIMITS))
    if outcome.problem or outcome.not_started:
        return outcome.problem or outcome.not_started
    return f"`true` ended with exit code {outcome.exit_code}" if outcome.exit_code or outcome.stopped else ""
