"""What lies in a folder of results, by what is in it: nothing of the run is needed but the files it wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtrace.bench.challenge.runs import Run, read_run
from voxtrace.bench.rounds import Rounds
from voxtrace.bench.shown import Sight
from voxtrace.bench.worst import read_worst
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.eval.results import CSV_FILE, Row, read_results

WAYS = (
    "give folders that `voxtrace evaluate`, `voxtrace bench modalities|interactive|robustness` or "
    "`voxtrace challenge run|rank|reproduce|compare` wrote"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A run of `voxtrace evaluate` or of a benchmark, or several on the same cases. what: evaluate, modalities or
    robustness. locks: of each run. summaries: of each contender. curves: of robustness. sights: the worst cases."""

    name: str
    what: str
    locks: tuple[Mapping[str, Any], ...]
    summaries: list[dict[str, Any]]
    rows: list[Row]
    curves: list[dict[str, Any]] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A run of `voxtrace bench interactive`."""

    name: str
    lock: Mapping[str, Any]
    summaries: list[dict[str, Any]]
    rounds: list[Rounds]
    sights: list[Sight] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Contest:
    """Parts of a challenge: runs of submissions, rankings, runs repeated, rounds compared, as their files hold them.
    locks: of the runs, by their folder."""

    runs: list[Run] = field(default_factory=list)
    locks: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rankings: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    reproductions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    comparisons: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


Found = Measured | Corrected | Run | tuple[str, str, dict[str, Any]]
RANKING, REPRODUCTION, COMPARISON = "ranking", "reproduction", "comparison"
NEEDED = {  # what the JSON of a challenge's command holds
    RANKING: {"submissions", "table", "stability", "significance"},
    REPRODUCTION: {"reproduced", "counts", "deltas", "cases"},
    COMPARISON: {"changes", "by_modality", "mended", "broken"},
}


def read_folder(path: Path) -> list[Found]:
    """All results in a folder, or in one JSON file that a challenge's command printed.

    Raises CaseMissingError if there are none, InputError for files that cannot be used.
    """
    if path.is_file():
        return [_printed(path)]
    if not path.is_dir():
        raise CaseMissingError(f"there is no {path}; {WAYS}")
    found: list[Found] = []
    content = _json(path / "results.json")
    if isinstance(content, dict) and "settings" in content:
        found.append(read_run(path))
    for what in NEEDED:
        if (path / f"{what}.json").is_file():
            found.append(_printed(path / f"{what}.json"))
    if not found:
        found.append(_measured(path))
    return found


def _measured(path: Path) -> Measured | Corrected:
    lock = _json(path / "lock.json")
    what = lock.get("what") if isinstance(lock, dict) else None
    if not isinstance(lock, dict) or not isinstance(what, str):
        raise CaseMissingError(f"{path} holds no results; {WAYS}")
    try:
        if what == "interactive":
            figures = _figures(path / "interactive.json")
            return Corrected(path.resolve().name, lock, figures, _rounds(path), read_worst(path))
        summaries = _figures(path / "summaries.json")
        rows = read_results(path) if (path / CSV_FILE).is_file() else []
        curves = _figures(path / "robustness.json") if what == "robustness" else []
        return Measured(path.resolve().name, what, (lock,), summaries, rows, curves, read_worst(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the results in {path} cannot be used: {error!r}; run it again") from None


def lock_of(folder: Path) -> Mapping[str, Any]:
    """The lock of a challenge's run; empty where it has none. Raises InputError."""
    content = _json(folder / "lock.json")
    return content if isinstance(content, dict) else {}


def _figures(file: Path) -> list[dict[str, Any]]:
    content = _json(file)
    if content is None:
        raise CaseMissingError(f"there is no {file}: the run is not finished; give its command again, it goes on")
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise InputError(f"{file} holds no list of figures; run the benchmark again")
    return content


def _rounds(path: Path) -> list[Rounds]:
    """Of each model and case the newest: one that failed may have been tried again."""
    file = path / "journal.jsonl"
    if not file.is_file():
        return []
    found = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        try:
            rounds = Rounds.of(json.loads(line))
        except ValueError:
            continue  # the last line of a run that was cut off
        found[rounds.model, rounds.case] = rounds
    return list(found.values())


def _printed(file: Path) -> tuple[str, str, dict[str, Any]]:
    content = _json(file)
    for what, needed in NEEDED.items():
        if isinstance(content, dict) and needed <= content.keys():
            return what, file.resolve().parent.name if file.stem == what else file.stem, content
    raise InputError(f"{file} is no result of `voxtrace challenge rank|reproduce|compare`; {WAYS}")


def _json(file: Path) -> Any:
    """What a JSON file holds; None if there is none. Raises InputError."""
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file} is not JSON: {error}") from None
