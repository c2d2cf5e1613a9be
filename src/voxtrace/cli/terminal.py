"""What a person sees: progress bars on stderr, results on stdout as text or as one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Advance = Callable[[int, "int | None"], None]


def say(text: str = "") -> None:
    """A line of results, on stdout."""
    print(text)


def note(text: str, quiet: bool = False) -> None:
    """A line beside the results, on stderr."""
    if not quiet:
        print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON object on stdout. Infinite and missing numbers become null: JSON has none."""
    print(json.dumps(_plain(value)))


@contextmanager
def progress(what: str, quiet: bool, unit: str = "") -> Iterator[Advance]:
    """A bar on stderr, or nothing if quiet or stderr is no terminal. Yields advance(done, total); total may be None."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    count = DownloadColumn() if unit == "bytes" else TextColumn("{task.completed:g}/{task.total:g} " + unit)
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None if unit == "bytes" else 1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def megabytes(size: int) -> str:
    """149 MB; a dash where the size is not known."""
    return f"{size / 1e6:.0f} MB" if size else "-"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    elif hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return round(value, 6) if abs(value) < float("inf") else None
    return value if isinstance(value, str | int | bool) or value is None else str(value)
