"""The rows of a run as its journal holds them: what is done, what is to be tried again."""

from __future__ import annotations

from typing import Any

from voxtrace.eval.journal import Journal
from voxtrace.eval.results import Row, failed, from_plain, plain


class Record:
    """Rows by model, prompt, z range, case and object. A piece of work is a tuple of names, as its maker likes."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows: dict[tuple[Any, ...], Row] = {}
        self._whole: set[tuple[Any, ...]] = set()
        for line in journal.lines:
            self._take(line)

    @property
    def rows(self) -> list[Row]:
        """All that count."""
        return list(self._rows.values())

    def is_whole(self, *work: Any) -> bool:
        """Whether this piece of work was done to the end and nothing in it failed."""
        return work in self._whole

    def has(self, model: str, prompt: str, z_range: bool, case: str, object: int) -> bool:
        """Whether this object was found."""
        return (model, prompt, z_range, case, object) in self._rows

    def retry(self, model: str, prompt: str, z_range: bool, case: str) -> None:
        """Forget what failed in a case: it is tried again."""
        line = {"retry": [model, prompt, z_range, case]}
        if self._take(line):
            self._journal.write(line)

    def add(self, row: Row) -> Row:
        """Keep a row."""
        self._put({"row": plain(row)})
        return row

    def end(self, *work: Any) -> None:
        """This piece of work is done; nothing failed."""
        self._put({"whole": list(work)})

    def _put(self, line: dict[str, Any]) -> None:
        self._take(line)
        self._journal.write(line)

    def _take(self, line: dict[str, Any]) -> bool:
        """Whether it changed anything."""
        if "row" in line:
            row = from_plain(line["row"])
            self._rows[(*row.contender, row.case, row.object)] = row
        elif "whole" in line:
            self._whole.add(tuple(line["whole"]))
        elif "retry" in line:
            lost = [key for key, row in self._rows.items() if failed(row) and list(key[:4]) == line["retry"]]
            for key in lost:
                del self._rows[key]
            return bool(lost)
        return True
