"""Repeat a run from its lock and compare: the same data, weights and seeds must give the same figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from voxtrace.bench import interactive as rounds_of
from voxtrace.bench.evaluate import evaluate
from voxtrace.bench.lock import code_hash, read_lock, settings
from voxtrace.bench.plan import Plan
from voxtrace.bench.rounds import Rounds
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.eval.journal import FILE, differences
from voxtrace.eval.results import COLUMNS, read_results

CHALLENGES = ("challenge run", "competition")  # their submissions are run by others of our commands
NOT_COMPARED = ("seconds", "peak_mb", "error")  # what a machine's mood decides
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Verdict:
    """changed: what the run was made of and is otherwise now. differing: figures that are not the same.
    compared: rows that both runs have."""

    changed: list[str]
    differing: list[str]
    compared: int

    @property
    def same(self) -> bool:
        """Whether every figure came out again."""
        return not self.differing


def verify(folder: Path, again: Path, data: str | None = None, tolerance: float = TOLERANCE) -> Verdict:
    """Repeat the run of `folder` in the folder `again`. data: where the cases are now, if not where they were.

    Raises CaseMissingError if `folder` holds no finished run, InputError if a challenge's.
    """
    lock = read_lock(folder)
    if lock["what"] in CHALLENGES:
        raise InputError(
            f"{folder} is a {lock['what']}; give its `command` in lock.json again with another --out, and compare "
            "the runs of submissions with `voxtrace challenge reproduce`"
        )
    plan = Plan.of(lock["plan"])
    plan = plan if data is None else replace(plan, data=data)
    now = settings(plan.settings(), plan.cases(), plan.methods())
    changed = differences(lock["settings"], json.loads(json.dumps(now)))
    changed += [] if lock.get("code_sha256") == code_hash() else ["voxtrace's own code is another"]
    if lock["what"] == rounds_of.WHAT:
        old = _rounds(folder)
        new: dict[Any, dict[str, Any]] = {}
        for rounds in rounds_of.interactive(plan, again):
            new[rounds.model, rounds.case] = _flat(asdict(rounds))
    else:
        old = _rows(folder)
        evaluate(plan, again, what=lock["what"])
        new = _rows(again)
    return Verdict(changed, _differing(old, new, tolerance), len(old.keys() & new.keys()))


def _rows(folder: Path) -> dict[Any, dict[str, Any]]:
    return {
        (*row.contender, row.case, row.object): {name: getattr(row, name) for name in COLUMNS}
        for row in read_results(folder)
    }


def _rounds(folder: Path) -> dict[Any, dict[str, Any]]:
    path = folder / FILE
    if not path.is_file():
        raise CaseMissingError(f"there is no {path}; the run in {folder} was not kept")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return {(r.model, r.case): _flat(asdict(r)) for r in map(Rounds.of, lines)}


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Each step of a measured tuple by itself."""
    out: dict[str, Any] = {}
    for name, value in fields.items():
        steps = value if name in ("dsc", "nsd") else None
        out |= {f"{name} {n}": v for n, v in enumerate(steps, 1)} if steps else {name: value}
    return out


def _differing(old: Mapping[Any, Any], new: Mapping[Any, Any], tolerance: float) -> list[str]:
    found = []
    for key in [*old, *(key for key in new if key not in old)]:
        name = " ".join(str(part) for part in key if not isinstance(part, bool))
        if key not in old or key not in new:
            found.append(f"{name}: only in the {'new' if key in new else 'old'} run")
            continue
        for column, was in old[key].items():
            now = new[key][column]
            if column not in NOT_COMPARED and not _alike(was, now, tolerance):
                found.append(f"{name}: {column} was {was}, now {now}")
    return found


def _alike(was: Any, now: Any, tolerance: float) -> bool:
    if isinstance(was, float) and isinstance(now, float):
        return was == now or math.isclose(was, now, rel_tol=0, abs_tol=tolerance)
    return bool(was == now)
