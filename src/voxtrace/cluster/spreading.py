"""The loop that gives tasks to a crew and takes up what died with a worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from voxtrace.cluster.crew import Answered, Crew, Gone, Up
from voxtrace.errors import ClusterError

Task = TypeVar("Task")
TICK_S = 1.0
STILLBORN = 3  # workers in a row that die before they are up: then it is no accident


@dataclass(frozen=True, slots=True)
class Finished(Generic[Task]):
    """A task and what `work` returned for it. place: the worker's machine; "" where it died after its work."""

    task: Task
    answer: Any
    place: str


@dataclass(frozen=True, slots=True)
class Lost(Generic[Task]):
    """A task that took a worker with it, each time it was tried."""

    task: Task
    tries: int
    why: str


@dataclass(slots=True)
class _Try(Generic[Task]):
    task: Task
    tries: int = 1


def spread(
    tasks: Iterable[Task],
    crew: Crew,
    workers: int,
    retries: int = 2,
    more: Callable[[Task, Any], Task | None] = lambda task, answer: None,
    rescue: Callable[[Task], Any] = lambda task: None,
) -> Iterator[Finished[Task] | Lost[Task]]:
    """Yield what becomes of each task, as it comes.

    A worker has one task at a time, and `tasks` is read no further than that, so that little is in flight. A task
    whose worker dies is given to a new one, up to `retries` times. more(task, answer): what the same worker is given
    next instead of being done, or None. rescue(task): what a dead worker finished and could not tell, or None.
    Raises ClusterError if workers die as they start.
    """
    fresh, again = iter(tasks), deque[_Try[Task]]()
    idle, busy, places, stillborn = list[int](), dict[int, _Try[Task]](), dict[int, str](), 0
    for _ in range(workers):
        crew.hire()
    while True:
        _give(crew, idle, busy, fresh, again)
        if idle and not busy:  # a worker is free and there is nothing that it could be given
            return
        for event in crew.wait(TICK_S):
            if isinstance(event, Up):
                places[event.worker], stillborn = event.place, 0
                idle.append(event.worker)
            elif isinstance(event, Answered):
                one = busy[event.worker]
                next_task = more(one.task, event.answer)
                if next_task is not None:
                    one.task = next_task
                    crew.give(event.worker, next_task)
                    continue
                del busy[event.worker]
                idle.append(event.worker)
                yield Finished(one.task, event.answer, places[event.worker])
            elif isinstance(event, Gone):
                if event.worker in idle:
                    idle.remove(event.worker)
                elif event.worker not in busy:
                    stillborn += 1
                    if stillborn >= STILLBORN:
                        raise ClusterError(f"{stillborn} workers in a row died as they started: {event.why}")
                crew.hire()
                if event.worker in busy:
                    yield from _taken_up(busy.pop(event.worker), event.why, retries, rescue, again)


def _give(
    crew: Crew, idle: list[int], busy: dict[int, _Try[Task]], fresh: Iterator[Task], again: deque[_Try[Task]]
) -> None:
    while idle:
        if again:
            one = again.popleft()
        else:
            task = next(fresh, None)
            if task is None:
                return
            one = _Try(task)
        worker = idle.pop(0)
        busy[worker] = one
        crew.give(worker, one.task)


def _taken_up(
    one: _Try[Task], why: str, retries: int, rescue: Callable[[Task], Any], again: deque[_Try[Task]]
) -> Iterator[Finished[Task] | Lost[Task]]:
    answer = rescue(one.task)
    if answer is not None:
        yield Finished(one.task, answer, "")
    elif one.tries > retries:
        yield Lost(one.task, one.tries, why)
    else:
        one.tries += 1
        again.append(one)
