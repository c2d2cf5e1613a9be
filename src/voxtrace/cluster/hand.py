"""What runs in a worker of a Ray cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from voxtrace import __version__


class Hand:
    """An actor around `work`. It tells its log, on its own machine, of each task."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        self.work = work

    def up(self) -> tuple[str, str]:
        """The version of voxtrace here, and where here is: host, node, process."""
        import platform

        import ray

        node = ray.get_runtime_context().get_node_id()[:8]
        return __version__, f"{platform.node()} node {node} process {os.getpid()}"

    def run(self, task: Any) -> Any:
        """work(task)."""
        _log("begins", task)
        answer = self.work(task)
        _log("ends", task)
        return answer


def _log(what: str, task: Any) -> None:
    print(f"voxtrace {what} {task}", file=sys.stderr, flush=True)
