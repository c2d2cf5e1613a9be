"""Workers as processes of this machine: no Ray, nothing to install."""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from voxtrace.cluster.crew import Answered, Event, Gone, Share, Up


class Processes:
    """A crew of fresh processes, each with its own copy of `work`. A context manager: leaving it ends them."""

    def __init__(self, work: Callable[[Any], Any], share: Share, workers: int) -> None:
        self.work, self.share, self.workers = work, share, workers
        self._context = multiprocessing.get_context("spawn")  # forked nets share threads and locks that are gone
        self._pipes: dict[int, connection.Connection] = {}
        self._processes: dict[int, Any] = {}
        self._hired = 0

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hire(self) -> int:
        """Start a process."""
        self._hired += 1
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self.work), daemon=True)
        with _environment(self.share.environment):
            process.start()
        theirs.close()  # else its end is never seen
        self._pipes[self._hired], self._processes[self._hired] = ours, process
        return self._hired

    def give(self, worker: int, task: Any) -> None:
        """Send the task; a dead worker is noticed by `wait`."""
        try:
            self._pipes[worker].send(task)
        except OSError:
            return

    def wait(self, seconds: float) -> list[Event]:
        """What the pipes bring; the end of a pipe is the end of its process."""
        numbers = {pipe: number for number, pipe in self._pipes.items()}
        return [self._heard(numbers[pipe]) for pipe in connection.wait(list(numbers), seconds)]  # type: ignore[index]

    def close(self) -> None:
        """Kill: a worker holds nothing that would have to be put in order."""
        for process in self._processes.values():
            process.kill()
        for number in list(self._processes):
            self._bury(number)

    def _heard(self, number: int) -> Event:
        try:
            kind, value = self._pipes[number].recv()
        except (EOFError, OSError):
            return Gone(number, _cause(self._bury(number)))
        if kind == "failed":
            self._processes[number].kill()
            self._bury(number)
            return Gone(number, value)
        return Up(number, value) if kind == "up" else Answered(number, value)

    def _bury(self, number: int) -> int | None:
        process = self._processes.pop(number)
        process.join()
        self._pipes.pop(number).close()
        return process.exitcode


def _serve(pipe: connection.Connection, work: Callable[[Any], Any]) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver ends us
    threading.Thread(target=_die_with_the_driver, daemon=True).start()
    pipe.send(("up", platform.node()))
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = ("answer", work(task))
        except Exception as error:  # `work` answers for what it expects; anything else is the worker's end
            answer = ("failed", f"{type(error).__name__}: {error}")
        pipe.send(answer)


def _die_with_the_driver() -> None:
    """A driver that was killed cannot end its workers, and another may already be taking up its work."""
    driver = multiprocessing.parent_process()
    assert driver is not None
    connection.wait([driver.sentinel])
    os._exit(1)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        memory = "; the system does that when memory runs out" if -exit_code == signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-exit_code).name}{memory}"
    return f"its process ended by itself with code {exit_code}"


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """A new process takes these over; libraries read them as they are loaded."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
