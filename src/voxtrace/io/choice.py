"""Files that hold several images: which one is meant, asked and answered in the same words for all formats."""

from __future__ import annotations

from pathlib import Path

from voxtrace.errors import InputError


def choose(path: Path, count: int, select: str | None, why: str, things: str = "volumes") -> int:
    """The index (from 0) of one of `count` things in a file; `select` is the text after # in path#select.

    Raises InputError that says what there is: when none of several was chosen, or one that is not there.
    """
    if select is None and count == 1:
        return 0
    if select is None:
        raise InputError(f"{path} {why}: it holds {count} {things}, 0..{count - 1}. Take one: {path.name}#0")
    if not select.isdigit() or int(select) >= count:
        raise InputError(f"{path} holds {things} 0..{count - 1}; there is no {select!r}")
    return int(select)
