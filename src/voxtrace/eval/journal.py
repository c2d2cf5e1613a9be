"""The record that a run keeps while it goes: a line is appended for each thing done, so that a crash loses nothing.

The first line holds the settings. A run that goes on where another stopped must have the same: rows made with others
cannot stand in one table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtrace.errors import InputError, OutputError

FILE = "journal.jsonl"


class Journal:
    """The journal of the folder `out`, made if it is not there. lines: what earlier runs wrote.

    Raises InputError if it was begun with other settings, naming them, and OutputError if it cannot be written.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        self.path = out / FILE
        self.lines: list[dict[str, Any]] = []
        if self.path.is_file():
            self._take_up(json.loads(json.dumps(settings)))
        else:
            self._put("a", {"settings": settings})

    def write(self, line: Mapping[str, Any]) -> None:
        """Append a line. Raises OutputError."""
        self._put("a", line)
        self.lines.append(dict(line))

    def _put(self, mode: str, *lines: Mapping[str, Any]) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines))
        except OSError as error:
            raise OutputError(f"the journal {self.path} cannot be written: {error.strerror}") from None

    def _take_up(self, settings: dict[str, Any]) -> None:
        lines, whole = _read(self.path)
        if not lines or "settings" not in lines[0]:
            raise InputError(f"{self.path} is not a journal of voxtrace; choose another --out")
        if changed := differences(lines[0]["settings"], settings):
            raise InputError(
                f"{self.path.parent} was begun with other settings: {'; '.join(changed)}. "
                "Go on with the same ones, or choose another --out"
            )
        self.lines = lines[1:]
        if not whole:
            self._put("w", *lines)


def _read(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """All whole lines, and whether there is nothing else: the last one may have been cut off by a crash."""
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines, len(lines) == text.count("\n") and text.endswith("\n")


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Each setting that differs between two JSON values, by its dotted name."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(key for key in new if key not in old)]
        return [d for n in names for d in differences(old.get(n), new.get(n), f"{name}.{n}" if name else n)]
    return [] if old == new else [f"{name} was {_short(old)}, now {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"
