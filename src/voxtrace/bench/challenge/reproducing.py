"""Whether a second run gives what the first gave: case by case, with the differences that still count as the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

from voxtrace.bench.challenge.locking import changes
from voxtrace.bench.challenge.pairs import Pair, differences, pair_up
from voxtrace.bench.challenge.runs import OK, Run

Verdict = Literal["identical", "reproduced", "same failure", "different", "not run"]
GOOD = ("identical", "reproduced", "same failure")


@dataclass(frozen=True, slots=True)
class Deltas:
    """The largest differences that count as reproduced. seconds_ratio: longer over shorter; None: time is not asked."""

    dsc: float = 0.001
    nsd: float = 0.001
    seconds_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """One case. dsc, nsd: second minus first, None where one has no score. why: what differs, "" for nothing."""

    case: str
    verdict: Verdict
    dsc: float | None
    nsd: float | None
    seconds_ratio: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The whole. notes: what a reader must know of the runs. changed: all that their locks do not have in common."""

    cases: tuple[CaseVerdict, ...]
    deltas: Deltas
    notes: tuple[str, ...]
    changed: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        """Whether every case is."""
        return all(case.verdict in GOOD for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """Everything, with counts and the largest differences first."""
        largest = {
            name: max((abs(d) for case in self.cases if (d := getattr(case, name)) is not None), default=None)
            for name in ("dsc", "nsd", "seconds_ratio")
        }
        return {
            "reproduced": self.reproduced,
            "counts": dict(Counter(case.verdict for case in self.cases)),
            "largest": largest,
            "deltas": asdict(self.deltas),
            "notes": list(self.notes),
            "changed": list(self.changed),
            "cases": [asdict(case) for case in self.cases],
        }


def reproduce(first: Run, second: Run, deltas: Deltas | None = None) -> Reproduction:
    """Compare two runs of one submission. Raises InputError if their cases are not the same files."""
    deltas = deltas or Deltas()
    notes = differences([first, second])
    about = [run.settings["submission"] for run in (first, second)]
    if about[0]["sha256"] != about[1]["sha256"] or about[0]["image"] != about[1]["image"]:
        notes.insert(
            0, "the submissions' files differ: this compares a rebuilt or retrained one, not the same one twice"
        )
    cases = tuple(_verdict(pair, deltas) for pair in pair_up(first, second))
    return Reproduction(cases, deltas, tuple(notes), tuple(changes(first.folder, second.folder)))


def _verdict(pair: Pair, deltas: Deltas) -> CaseVerdict:
    a, b = pair.first, pair.second
    if a is None or b is None:
        return CaseVerdict(
            pair.case, "not run", None, None, None, f"only the {'first' if b is None else 'second'} ran it"
        )
    if a.status != b.status:
        return CaseVerdict(pair.case, "different", None, None, None, f"{a.status}, then {b.status}")
    if a.status != OK:
        return CaseVerdict(pair.case, "same failure", None, None, None, a.status)
    dsc = None if a.dsc is None or b.dsc is None else b.dsc - a.dsc
    nsd = None if a.nsd is None or b.nsd is None else b.nsd - a.nsd
    ratio = max(a.seconds, b.seconds) / max(min(a.seconds, b.seconds), 1e-3)
    why = []
    if a.mask_sha256 != b.mask_sha256:
        if dsc is None:
            why.append("the masks differ, and there is no reference to tell by how much")
        why += [
            f"{name} {value:+.4f}"
            for name, value, most in (("DSC", dsc, deltas.dsc), ("NSD", nsd, deltas.nsd))
            if value is not None and abs(value) > most
        ]
    if deltas.seconds_ratio is not None and ratio > deltas.seconds_ratio:
        why.append(f"time x{ratio:.2f}")
    same = "identical" if a.mask_sha256 == b.mask_sha256 else "reproduced"
    return CaseVerdict(pair.case, "different" if why else same, dsc, nsd, ratio, ", ".join(why))  # type: ignore[arg-type]
