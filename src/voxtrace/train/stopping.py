"""Ctrl-C (and a cluster's SIGTERM) in a training: the step is finished and the state written before it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from voxtrace.errors import TrainingStopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Stop:
    """Whether it is wished."""

    asked: bool = False

    def stopped(self, step: int) -> TrainingStopped:
        """What is raised after the state was written."""
        return TrainingStopped(f"stopped at step {step}; the state is written, and the same command goes on from there")


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within, the first signal only sets `asked`, a second one interrupts at once. Threads that cannot have handlers
    are left as they are."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def save_every_s(minutes: float, most: float) -> float:
    """Seconds between two states: a tenth of a short training, `most` of a long one."""
    return min(most, max(10.0, minutes * 6))
