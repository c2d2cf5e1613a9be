"""Work without nets for workers that really die: which end a task takes is said by the task itself."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Chore:
    """A task. deaths: how many workers it kills before it is done. error: raised instead of an answer.
    beside: another chore that has to be begun before this one ends."""

    name: str
    deaths: int = 0
    error: str = ""
    seconds: float = 0.0
    beside: str = ""


@dataclass(frozen=True)
class Diary:
    """Work that writes a line for each beginning into `folder`, and answers with its process."""

    folder: Path

    def __call__(self, chore: Chore) -> tuple[str, int]:
        with (self.folder / chore.name).open("a") as file:
            file.write(f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}\n")
        time.sleep(chore.seconds)
        while chore.beside and not (self.folder / chore.beside).exists():
            time.sleep(0.01)
        if len(self.begun(chore.name)) <= chore.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        if chore.error:
            raise ValueError(chore.error)
        return chore.name, os.getpid()

    def begun(self, name: str) -> list[str]:
        """A line for each time that the chore was begun."""
        return (self.folder / name).read_text().splitlines()


@dataclass(frozen=True)
class Broken:
    """Work that no worker can take up."""

    def __setstate__(self, state: object) -> None:
        os._exit(7)

    def __getstate__(self) -> int:
        return 1

    def __call__(self, chore: Chore) -> None:
        raise AssertionError
