"""What workers of any kind are: hired, given one task at a time, and waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Share:
    """What each worker gets of its machine. cpus: whole cores, as many threads. gpus: 0.5 puts two workers on one."""

    cpus: int = 1
    gpus: float = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """Variables that hold numerical libraries to the share: each would take the whole machine."""
        names = ("VOXTRACE_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        return {name: str(self.cpus) for name in names}


@dataclass(frozen=True, slots=True)
class Up:
    """A worker is there. place: its machine, in words."""

    worker: int
    place: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A worker is through with its task."""

    worker: int
    answer: Any


@dataclass(frozen=True, slots=True)
class Gone:
    """A worker died, idle or in the middle of its task, for a reason in words."""

    worker: int
    why: str


Event = Up | Answered | Gone


class Crew(Protocol):
    """Workers known by their numbers. One is given a task when it is up and has answered the one before.
    workers: how many there are to be."""

    workers: int

    def hire(self) -> int:
        """Start one more worker and return its number, without waiting for it."""
        ...

    def give(self, worker: int, task: Any) -> None:
        """Hand a task over; what comes of it comes from `wait`."""
        ...

    def wait(self, seconds: float) -> list[Event]:
        """What has happened, oldest first; waits so long for the first event. Raises ClusterError."""
        ...

    def close(self) -> None:
        """End all workers, also in the middle of a task; none is left when it returns."""
        ...
