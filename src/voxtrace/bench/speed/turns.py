"""Sides take turns, so that what else the machine does meets all of them. One works at a time; the others wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bench.speed.side import Order
from voxtrace.errors import ModelError


@dataclass(slots=True)
class Taken:
    """What a side took. seconds: of each turn but the first, which warms up. parts: what the verbs took in the last."""

    seconds: list[float] = field(default_factory=list)
    peak_mb: float | None = None
    about: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    masks: np.ndarray | None = None

    @property
    def best(self) -> float:
        """Of all turns."""
        return min(self.seconds)


class Process:
    """A side's process."""

    def __init__(self, order: Order) -> None:
        count = str(order.threads)
        threads = {name: count for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "VOXTRACE_THREADS")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "voxtrace.bench.speed.side", json.dumps(asdict(order))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **threads, "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"},
        )
        self._side = order.side
        self.about = self._read()

    def ask(self, line: str) -> dict[str, Any]:
        """Raises ModelError if the side failed; what it said is on stderr."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ModelError(f"the side {self._side} ended with code {self._process.wait()}; what it said is above")
        return json.loads(line)

    def close(self) -> None:
        """Let it end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def _all(orders: Mapping[str, Order]) -> Iterator[dict[str, Process]]:
    processes: dict[str, Process] = {}
    try:
        for name, order in orders.items():
            processes[name] = Process(order)
        yield processes
    finally:
        for process in processes.values():
            process.close()


def turns(
    orders: Mapping[str, Order],
    repeats: int,
    what: str = "run",
    warm: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Taken]:
    """Let each side do `what` in turn, `repeats` times after one turn to warm up; and what came of it."""
    with _all(orders) as sides, tempfile.TemporaryDirectory() as folder:
        taken = {name: Taken(about=side.about) for name, side in sides.items()}
        for turn in range(repeats + warm):
            for name, side in sides.items():
                seconds = side.ask(what)["seconds"]
                tell(f"{name}: {seconds:.3f} s{' (warming up)' if warm and not turn else ''}")
                if turn >= warm:
                    taken[name].seconds.append(seconds)
        for name, side in sides.items():
            taken[name].peak_mb = side.ask("peak")["peak_mb"]
            if what == "run":
                taken[name].parts = side.ask("parts")
                file = Path(folder) / "masks.npy"
                side.ask(f"masks {file}")
                taken[name].masks = np.load(file)
    return taken
