"""The gate: is a fine-tuned net better than the one it came from, beyond chance?

Both answer the same questions on the same cases. What counts is the difference of each case's DSC, averaged as all
figures are (objects in a case, cases in a set, sets) and with patients drawn again for the interval. Overlapping
intervals of the two nets would say little: most of their width is how hard the cases are, which the difference has not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from voxtrace.errors import InputError
from voxtrace.eval.bootstrap import SEED, Figure, figure
from voxtrace.eval.results import Row

Word = Literal["better", "worse", "not shown to be better"]
# With four patients or fewer all differences may have one sign by chance once in eight times or more, and drawing so
# few again makes the interval too narrow to say so.
LEAST_PATIENTS = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """word: "better" only if the whole interval of `difference` (tuned - base) lies above 0, "worse" if below."""

    word: Word
    base: Figure
    tuned: Figure
    difference: Figure

    @property
    def passed(self) -> bool:
        """Whether the fine-tuned net may be called better."""
        return self.word == "better"

    def sentence(self) -> str:
        """The verdict for a person, with its figures."""
        head = f"The fine-tuned net is {self.word} than" if self.word != "not shown to be better" else ""
        head = head or "The fine-tuned net is not shown to be better than"
        text = (
            f"{head} the net it came from: DSC {_text(self.base)} before, {_text(self.tuned)} after; "
            f"difference {_text(self.difference, sign=True)}, {self.difference.n} patients."
        )
        if self.difference.n < LEAST_PATIENTS:
            text += f" With fewer than {LEAST_PATIENTS} patients held out nothing can be shown; hold out more."
        return text

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def judge(base: Sequence[Row], tuned: Sequence[Row], *, seed: int = SEED) -> Verdict:
    """Compare two runs of the same questions. Raises InputError where they were not asked the same."""
    before, after = _by_case(base), _by_case(tuned)
    if before.keys() != after.keys() or any(before[case].keys() != after[case].keys() for case in before):
        odd = sorted({case for _, _, case in before.keys() ^ after.keys()}) or ["objects of a case"]
        raise InputError(
            f"the two nets were not asked about the same objects ({', '.join(odd[:3])}); measure both anew"
        )
    if not before:
        raise InputError("there is nothing to compare: no object was measured")
    sets, patients, _ = zip(*before, strict=True)
    means = [np.array([float(np.mean(list(found[case].values()))) for case in before]) for found in (before, after)]
    figures = [figure(list(v), sets, patients, seed=seed) for v in (means[0], means[1], means[1] - means[0])]
    return Verdict(word_for(figures[2]), *figures)


def word_for(difference: Figure) -> Word:
    """What an interval of the difference allows to be said."""
    if difference.n < LEAST_PATIENTS or difference.low <= 0 <= difference.high:
        return "not shown to be better"
    return "better" if difference.low > 0 else "worse"


def _by_case(rows: Sequence[Row]) -> dict[tuple[str, str, str], dict[tuple[str, bool, int], float]]:
    """{(set, patient, case): {question: DSC}}. What broke counts as 0, as everywhere."""
    found: dict[tuple[str, str, str], dict[tuple[str, bool, int], float]] = defaultdict(dict)
    for row in sorted(rows, key=lambda r: (r.set, r.patient, r.case, r.prompt, r.z_range, r.object)):
        found[row.set, row.patient, row.case][row.prompt, row.z_range, row.object] = row.dsc
    return dict(found)


def _text(one: Figure, sign: bool = False) -> str:
    mark = "+" if sign else ""
    return f"{one.mean:{mark}.3f} ({one.low:{mark}.3f} to {one.high:{mark}.3f})"
