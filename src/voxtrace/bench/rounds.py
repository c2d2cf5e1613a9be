"""One case corrected step by step: a box, then five clicks where the mask is most wrong. What came of it, as a value.

As published (JunMa11/CVPR-MedSegFMCompetition, CVPR25_iter_eval.py): a step's DSC and NSD are means over the objects;
NSD is 0 where DSC is at most 0.2; the areas under the curves are over the five click steps alone, so that 4 is the
most; a step that gave nothing counts as 0. Spacing is in array order here, as the script means it to be.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.bench.clicks import next_click
from voxtrace.bench.corrections import Corrected, first_mark
from voxtrace.bench.truths import Target
from voxtrace.eval.metrics import score
from voxtrace.eval.results import DONE, FAILED
from voxtrace.manifest import Case

CLICKS = 5
LEAST_DSC = 0.2  # below it the published NSD is 0
SECONDS_AN_OBJECT = 90  # the challenge's limit


@dataclass(frozen=True, slots=True)
class Rounds:
    """A case's six steps. dsc, nsd, seconds: of each. clicks: (step 1..5, label, z, y, x, positive) in their order.
    begun: by a box, as published, or a click.
    """

    model: str
    z_range: bool
    set: str
    case: str
    kind: str
    modality: str
    patient: str
    objects: int
    dsc: tuple[float, ...]
    nsd: tuple[float, ...]
    seconds: tuple[float, ...]
    clicks: tuple[tuple[int, int, int, int, int, bool], ...] = ()
    status: str = DONE
    error: str = ""
    begun: str = "box"

    @property
    def contender(self) -> tuple[str, str, bool]:
        """As of a Row."""
        return self.model, f"{self.begun}, then clicks", self.z_range

    @property
    def dsc_auc(self) -> float:
        """0..4: the area under the five click steps."""
        return _area(self.dsc[-CLICKS:])

    @property
    def nsd_auc(self) -> float:
        """0..4."""
        return _area(self.nsd[-CLICKS:])

    @property
    def dsc_final(self) -> float:
        """After the last click."""
        return self.dsc[-1]

    @property
    def nsd_final(self) -> float:
        """After the last click."""
        return self.nsd[-1]

    @property
    def seconds_total(self) -> float:
        """Of the model alone, without choosing the clicks."""
        return sum(self.seconds)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Rounds:
        """What `asdict` and JSON made lists of."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values | {"clicks": tuple(tuple(click) for click in values["clicks"])})


def correct_in_rounds(
    model: Corrected,
    targets: Sequence[Target],
    spacing_mm: Sequence[float],
    tolerance: float,
    z_range: bool = False,
    begun: str = "box",
) -> dict[str, Any]:
    """The measured fields of Rounds for one case. An error ends it: the steps that are left count as 0."""
    dsc, nsd, seconds, clicks = [], [], [], []
    labels = np.zeros(targets[0].mask.shape, np.uint16)
    error = ""
    marks = {t.label: first_mark(t, begun, z_range) for t in targets}
    for step in range(CLICKS + 1):
        found = {t.label: c for t in targets if step and (c := next_click(labels == t.label, t.mask))}
        clicks += [(step, label, c.z, c.y, c.x, c.positive) for label, c in found.items()]
        start = time.perf_counter()
        try:
            labels = model.correct(found) if step else model.mark(marks)
        except Exception as problem:
            error = f"step {step + 1}: {type(problem).__name__}: {problem}"
            break
        seconds.append(round(time.perf_counter() - start, 4))
        scores = [score(*_as_picture(labels == t.label, t.mask, spacing_mm), tolerance) for t in targets]
        dsc.append(float(np.mean([one.dsc for one in scores])))
        nsd.append(float(np.mean([one.nsd for one in scores])) if dsc[-1] > LEAST_DSC else 0.0)
    left = [0.0] * (CLICKS + 1 - len(dsc))
    return {
        "objects": len(targets),
        "dsc": (*dsc, *left),
        "nsd": (*nsd, *left),
        "seconds": (*seconds, *left),
        "clicks": tuple(clicks),
        "status": FAILED if error else DONE,
        "error": error,
    }


def csv_row(rounds: Rounds, name: str) -> dict[str, Any]:
    """The published table's columns, in its order."""
    steps = range(1, CLICKS + 2)
    return {
        "CaseName": name,
        "TotalRunningTime": rounds.seconds_total,
        **{f"RunningTime_{n}": rounds.seconds[n - 1] for n in steps},
        "DSC_AUC": rounds.dsc_auc,
        "NSD_AUC": rounds.nsd_auc,
        "DSC_Final": rounds.dsc_final,
        "NSD_Final": rounds.nsd_final,
        **{f"DSC_{n}": rounds.dsc[n - 1] for n in steps},
        **{f"NSD_{n}": rounds.nsd[n - 1] for n in steps},
        "num_class": rounds.objects,
        "runtime_upperbound": rounds.objects * SECONDS_AN_OBJECT,
    }


def lost_rounds(error: Exception) -> dict[str, Any]:
    """The measured fields of a case that could not be begun."""
    nothing = (0.0,) * (CLICKS + 1)
    text = f"{type(error).__name__}: {error}"
    return {"objects": 0, "dsc": nothing, "nsd": nothing, "seconds": nothing, "status": FAILED, "error": text}


def about(case: Case, model: str, z_range: bool, begun: str = "box") -> dict[str, Any]:
    """The fields of Rounds that say what was measured."""
    return {
        "model": model,
        "z_range": z_range,
        "begun": begun,
        "set": case.set,
        "case": case.id,
        "kind": case.kind,
        "modality": case.modality,
        "patient": case.patient or case.id,
    }


def _area(values: Sequence[float]) -> float:
    """Under straight lines between values that lie 1 apart."""
    return sum(values) - (values[0] + values[-1]) / 2


def _as_picture(
    mask: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
    """A scan of one slice is measured in its two axes."""
    return (mask[0], truth[0], spacing_mm[1:]) if len(mask) == 1 else (mask, truth, spacing_mm)
