"""Workers as actors of a Ray cluster."""

from __future__ import annotations

import re
import secrets
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from voxtrace import __version__
from voxtrace.cluster.address import LOCAL, is_lost
from voxtrace.cluster.crew import Answered, Event, Gone, Share, Up
from voxtrace.cluster.hand import Hand
from voxtrace.cluster.joining import joined, room_for
from voxtrace.errors import ClusterError, ClusterLost

PATIENCE_S = 30.0
END_S = 10.0
LOOK_S, SILENCES = 4.0, 3


class RayCrew:
    """A crew on the cluster at `address` (see `joining`). A context manager: leaving it ends the workers, disconnects,
    and ends a local cluster.

    name: of the work; workers of an earlier crew of this name whose driver was killed are ended as it is entered.
    workers: how many; by default all that the cluster has room for, and at most `tasks`.
    """

    def __init__(
        self, address: str, work: Callable[[Any], Any], share: Share, name: str, tasks: int, workers: int | None = None
    ) -> None:
        self.address, self.work, self.share, self.name = address, work, share, name
        self.tasks, self.asked = tasks, workers
        self.workers = 0
        self._run = secrets.token_hex(4)
        self._actors: dict[int, Any] = {}
        self._pending: dict[Any, int] = {}
        self._up: set[int] = set()
        self._hired = 0
        self._since = time.monotonic()
        self._looked, self._silences = self._since, 0
        self._stack = ExitStack()

    def __enter__(self) -> RayCrew:
        wanted = None if self.asked is None else min(self.asked, self.tasks)
        self._ray = self._stack.enter_context(joined(self.address, self.share, wanted))
        try:
            room = room_for(self._ray, self.share)
            if not room and (wanted is None or self.address == LOCAL):  # any other cluster may grow
                raise ClusterError(self._too_little())
            self.workers = min(wanted or room, self.tasks)
            self._end_the_forgotten()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hire(self) -> int:
        """Ask the cluster for an actor; it comes up when there is room."""
        self._hired += 1
        options = {
            "name": f"{self.name}-{self._run}-{self._hired}",
            "num_cpus": self.share.cpus,
            "num_gpus": self.share.gpus,
            "max_restarts": 0,  # whoever takes up a lost task must know that it was lost
            "runtime_env": {"env_vars": self.share.environment},
        }
        actor = self._ray.remote(Hand).options(**options).remote(self.work)
        self._actors[self._hired] = actor
        self._pending[actor.up.remote()] = self._hired
        return self._hired

    def give(self, worker: int, task: Any) -> None:
        """Send the task; large ones go through Ray's object store and leave it with the answer."""
        self._pending[self._actors[worker].run.remote(task)] = worker

    def wait(self, seconds: float) -> list[Event]:
        """What has come. Raises ClusterError if the connection is lost."""
        if not self._pending:  # all are idle: Ray tells of a death only to who waits for something
            time.sleep(min(seconds, 0.1))
            return []
        try:
            ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=seconds)
        except (ConnectionError, self._ray.exceptions.RaySystemError):
            raise self._lost() from None
        if not ready:
            self._look_after_the_head()
        self._tell_if_none_comes()
        return [self._heard(ref) for ref in ready]

    def close(self) -> None:
        """Kill all actors, wait until they are gone, disconnect."""
        with suppress(Exception):
            if is_lost(self.address):  # then so are they, and Ray would wait for it
                self._actors.clear()
                self._pending.clear()
            for actor in self._actors.values():
                self._ray.kill(actor)
            if self._pending:
                self._ray.wait(list(self._pending), num_returns=len(self._pending), timeout=END_S)
        self._actors.clear()
        self._pending.clear()
        self._stack.close()

    def _heard(self, ref: Any) -> Event:
        worker = self._pending.pop(ref)
        try:
            value = self._ray.get(ref)
        except Exception as error:
            if is_lost(self.address):  # that is why; whatever Ray is asked next, it does not answer
                raise self._lost() from None
            with suppress(Exception):
                self._ray.kill(self._actors.pop(worker))
            if worker not in self._up:
                self._check_import(error)
            self._up.discard(worker)
            return Gone(worker, cause_of(error))
        if worker in self._up:
            return Answered(worker, value)
        version, place = value
        if version != __version__:
            raise ClusterError(f"{place} has voxtrace {version}, this machine {__version__}; install the same on both")
        self._up.add(worker)
        return Up(worker, place)

    def _check_import(self, error: Exception) -> None:
        if missing := re.search(r"No module named '([\w.]+)'", str(error)):
            need = f"install voxtrace {__version__} on all machines"
            raise ClusterError(f"the workers of {self.address} cannot import {missing[1]}: {need}")

    def _end_the_forgotten(self) -> None:
        from ray.util import list_named_actors

        def left() -> list[str]:
            return [name for name in list_named_actors() if name.startswith(f"{self.name}-")]

        for name in left():
            with suppress(Exception):  # gone meanwhile
                self._ray.kill(self._ray.get_actor(name))
        until = time.monotonic() + END_S
        while left() and time.monotonic() < until:
            time.sleep(0.2)

    def _look_after_the_head(self) -> None:
        """Ray waits a minute for a head that is gone and then ends the program without a word."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        self._silences = self._silences + 1 if is_lost(self.address) else 0
        if self._silences >= SILENCES:
            raise self._lost()

    def _lost(self) -> ClusterLost:
        return ClusterLost(f"the cluster {self.address} is gone; the same command goes on where it was")

    def _tell_if_none_comes(self) -> None:
        if self._hired and not self._up and time.monotonic() - self._since > PATIENCE_S:
            self._since = float("inf")
            warnings.warn(
                f"no worker of {self.address} is up after {PATIENCE_S:.0f} s; waiting, for its cores may all be in use "
                "(ray status)",
                stacklevel=2,
            )

    def _too_little(self) -> str:
        gpus = f" and {self.share.gpus:g} GPU" if self.share.gpus else ""
        return f"--cluster {self.address}: no machine of it has {self.share.cpus} CPU{gpus} for a worker (ray status)"


def cause_of(error: Exception) -> str:
    """Why an actor did not answer, in a line."""
    text = " ".join(str(error).split())
    if "OutOfMemory" in type(error).__name__ or ("OOM" in text and "was killed due to" in text):
        return "its machine ran out of memory"
    if "node" in text and ("node has died" in text or "node died" in text or "its node" in text):
        return "its machine was lost"
    if "ActorDied" in type(error).__name__ or "ActorUnavailable" in type(error).__name__:
        detail = re.search(r"Worker exit type: (\w+)", text)
        return f"its process died{f' ({detail[1]})' if detail else ''}; often memory runs out (ray logs say more)"
    return text[:300]
