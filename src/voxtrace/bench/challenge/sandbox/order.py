"""What a sandbox is asked to do, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxtrace.bench.challenge.limits import Limits
from voxtrace.bench.challenge.submission import Submission


@dataclass(frozen=True, slots=True)
class Order:
    """Run `submission` on the one case in the folder `inputs`; what it writes as `output` goes to `target`.

    log: where the last of what it prints goes. allow: files and folders it may read beside its own.
    """

    submission: Submission
    inputs: Path
    output: str
    target: Path
    log: Path
    limits: Limits
    allow: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went. Everything is "" or 0 where it does not apply.

    seconds: from the command's start to its end. peak_memory: bytes, None where it is not known. stopped: the limit
    that ended it: seconds, memory or disk. full: no room was left to write. missing: why no output was taken.
    not_started: the command cannot be started. problem: the sandbox failed, not the submission.
    """

    seconds: float = 0.0
    exit_code: int = 0
    stopped: str = ""
    peak_memory: int | None = None
    most_threads: int = 0
    full: bool = False
    missing: str = ""
    not_started: str = ""
    problem: str = ""


class Sandbox(Protocol):
    """A way to run a submission apart from everything else."""

    name: str

    def why_not(self) -> str:
        """Why it does not work on this machine, "" if it does."""

    def run(self, order: Order) -> Outcome:
        """Run one case; never raises for what a submission does."""
