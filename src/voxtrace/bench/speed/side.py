"""One side in a process of its own: python -m voxtrace.bench.speed.side ORDER

ORDER is JSON, see `Order`. Once the side is ready it says so in a line of JSON. Then each line on stdin is answered
with one on stdout: `run`, `mark` and `encode` with the seconds that they took, `parts` with what each verb took,
`masks FILE` when the last run's masks are written, `peak` with the most memory in MB that the process ever held; null
where the system does not tell.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voxtrace.bench.speed.work import Work

SIDES = ("voxtrace", "transformers", "sam2")


@dataclass(frozen=True, slots=True)
class Order:
    """side: one of SIDES. model: a name, weights file or folder of graphs for voxtrace, else a weights file.
    image_size: where the file does not say. engine, precision: voxtrace's. threads: of every library."""

    side: str
    work: Work
    model: str
    image_size: int | None = None
    engine: str = "auto"
    precision: str = "auto"
    threads: int = 1


class Side(Protocol):
    """What can be timed."""

    def run(self) -> None:
        """The volume."""

    def mark(self) -> None:
        """One mark on an encoded slice."""

    def masks(self) -> np.ndarray:
        """(objects, slices, H, W) bool of the last run."""
        ...


def from_json(text: str) -> Order:
    """An order as `json.dumps(asdict(order))` wrote it."""
    fields = json.loads(text)
    return Order(**{**fields, "work": Work(**fields["work"])})


def opened(order: Order) -> tuple[Side, dict[str, Any]]:
    """The side, and what is to be known of it."""
    if order.side == "voxtrace":
        from voxtrace.bench.speed.ours import Ours

        engine, about = _engine(order)
        return Ours(order.work, engine), about
    _set_threads(order.threads)
    if order.side == "transformers":
        from voxtrace.bench.speed.hugging_face import HuggingFace

        return HuggingFace(order.work, Path(order.model)), {}
    from voxtrace.bench.speed.official import Official

    return Official(order.work, Path(order.model)), {}


def _engine(order: Order) -> tuple[Any, dict[str, Any]]:
    from voxtrace.engines import open_engine
    from voxtrace.engines.choosing import choose
    from voxtrace.engines.finding import find_model

    found = find_model(order.model, order.image_size)
    choice = choose(order.engine, order.precision, "cpu", found.why_no_graphs)
    if choice.engine == "torch":
        _set_threads(order.threads)
    engine = open_engine(order.model, "cpu", order.image_size, choice.engine, choice.precision)
    return engine, {"engine": choice.engine, "precision": choice.precision, "why": choice.why}


def answer(side: Side, line: str) -> dict[str, Any]:
    """What a line asks for."""
    what, _, rest = line.strip().partition(" ")
    if what in ("run", "mark", "encode"):
        start = time.perf_counter()
        getattr(side, what)()
        return {"seconds": time.perf_counter() - start}
    if what == "masks":
        np.save(rest, side.masks())
        return {}
    if what == "parts":
        return getattr(side, "parts", dict)()
    return {"peak_mb": _peak_mb()}


def _peak_mb() -> float | None:
    """Not getrusage's, which on Linux begins with what the process that started this one held."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)


def _set_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def main(text: str) -> None:
    """Answer until stdin ends. What the libraries print goes to stderr."""
    order = from_json(text)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as told, contextlib.redirect_stdout(sys.stderr):
        side, about = opened(order)
        print(json.dumps(about), file=told, flush=True)
        for line in sys.stdin:
            print(json.dumps(answer(side, line)), file=told, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
