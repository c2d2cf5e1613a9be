"""The record of a batch: what became of each job, kept so that a crash at any moment loses nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from voxtrace.errors import OutputError

RECORD = "batch.jsonl"


class Record:
    """One JSON object a line, only ever appended, each on the disk before the next job begins. last: the newest row of
    each output's name.

    A last line that was cut off is taken away. Only one process keeps a record: OutputError while another does.
    A context manager.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: dict[str, dict[str, Any]] = {}
        try:
            self._file = path.open("ab+")
        except OSError as error:
            raise self._refused(error) from None
        try:
            _lock(self._file.fileno(), path)
            self._take_up()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, row: dict[str, Any]) -> None:
        """Append a line and wait until it is on the disk. Raises OutputError."""
        self.last[row["out"]] = row
        try:
            self._file.write(as_line(row).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from None

    def _take_up(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file.read().splitlines(keepends=True):
            try:
                row = json.loads(line)
                self.last[row["out"]] = row
            except (ValueError, KeyError, TypeError):
                if not line.endswith(b"\n"):  # the line that was being written when the machine went down
                    self._file.truncate(whole)
                    return
            whole += len(line)
            if not line.endswith(b"\n"):
                self._file.write(b"\n")

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(f"the record {self.path} cannot be written: {error.strerror}")


def as_line(row: dict[str, Any]) -> str:
    """JSON and a line's end; numpy's numbers as numbers, paths as text."""
    return json.dumps(row, default=lambda value: value.item() if hasattr(value, "item") else str(value)) + "\n"


def _lock(descriptor: int, path: Path) -> None:
    """Held until the file is closed, also by the death of the process."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"another voxtrace batch is writing to {path.parent}; wait for it, or choose another --out"
        ) from None
    except OSError:  # a file system without locks
        return
