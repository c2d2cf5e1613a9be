"""What the tests of the challenge share: cases, submissions that are small programs, and sandboxes to run them in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from voxtrace.bench.challenge.limits import Limits, parse_limits
from voxtrace.bench.challenge.sandbox.bubblewrap import Bubblewrap
from voxtrace.bench.challenge.sandbox.namespaces import Namespaces
from voxtrace.bench.challenge.sandbox.order import Order, Outcome, Sandbox
from voxtrace.bench.challenge.submission import read_submission

CASE = "3DBox_CT_0001.npz"
SHAPE = (4, 6, 8)
SMALL = parse_limits("memory=256M,cpus=1,seconds=20,disk=16M,processes=24")


def block() -> np.ndarray:
    """(4, 6, 8) uint8: object 1 is a block off the centre, object 2 another beside it."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 1:4, 1:5] = 1
    labels[2:4, 3:6, 6:8] = 2
    return labels


def write_case(folder: Path, name: str = CASE, labels: np.ndarray | None = None, **more: object) -> Path:
    """A case with gts and everything a challenge file has; spacing is (x, y, z)."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = block() if labels is None else labels
    image = np.where(labels > 0, 200, 30).astype(np.uint8)
    arrays = {
        "imgs": image,
        "gts": labels,
        "spacing": np.array([2.0, 1.0, 3.0]),
        "boxes": np.array([[1, 1, 1, 4, 3, 2]]),
    }
    np.savez(folder / name, **arrays | more)
    return folder / name


def write_submission(folder: Path, program: str, name: str = "predict", answer: np.ndarray | None = None) -> Path:
    """A folder with `program` as its shell script, and answer.npz with `segs` that the script may copy."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n" + program + "\n")
    np.savez(folder / "answer.npz", segs=block() if answer is None else answer)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


def working(sandbox: Sandbox) -> Sandbox:
    """The sandbox, or a skip that says why it does not work here."""
    if reason := sandbox.why_not():
        pytest.skip(f"{sandbox.name} does not work here: {reason}")
    return sandbox


SANDBOXES = {"namespaces": Namespaces, "bubblewrap": Bubblewrap}


@dataclass(frozen=True)
class Tried:
    """What became of one program."""

    outcome: Outcome
    printed: str
    output: bytes


def attempt(
    sandbox: Sandbox, folder: Path, program: str, limits: Limits = SMALL, allow: tuple[Path, ...] = ()
) -> Tried:
    """Run a shell script as a submission on one case whose file is folder/inputs/CASE."""
    submission = read_submission(str(write_submission(folder / "submission", program)))
    inputs = folder / "inputs"
    if not inputs.exists():
        write_case(inputs)
        inputs.chmod(0o755)
    outcome = sandbox.run(Order(submission, inputs, CASE, folder / "target", folder / "log", limits, allow))
    return Tried(outcome, (folder / "log").read_text(errors="replace"), (folder / "target").read_bytes())
