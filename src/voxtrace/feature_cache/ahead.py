"""Work that is done in another thread before it is asked for: one thread, one piece at a time, none after `rest`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Made = TypeVar("Made")


class Ahead(Generic[Key, Made]):
    """Pieces of work that are under way, known by their keys."""

    def __init__(self) -> None:
        self._worker: ThreadPoolExecutor | None = None
        self._made: dict[Key, Future[Made]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._made

    def start(self, key: Key, work: Callable[[], Made]) -> None:
        """Begin `work`, behind what was started before."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "voxtrace-encoding-ahead")
        self._made[key] = self._worker.submit(work)

    def take(self, key: Key) -> Made:
        """Wait for what was started for `key`; an exception of the work is raised here."""
        return self._made.pop(key).result()

    def now(self, work: Callable[[], Made]) -> Made:
        """Do it and wait: in that thread where there is one, so that two pieces are never done at once, else here."""
        return work() if self._worker is None else self._worker.submit(work).result()

    def finished(self) -> dict[Key, Made]:
        """What is done and was not asked for. What failed is forgotten: who asks for it later makes it again."""
        done = {key: made for key, made in self._made.items() if made.done()}
        for key in done:
            del self._made[key]
        return {key: made.result() for key, made in done.items() if not made.cancelled() and made.exception() is None}

    def rest(self) -> dict[Key, Made]:
        """End the thread: what has begun is waited for, what only waits is left out. Gives back what is done."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=True, cancel_futures=True)
        return self.finished()
