"""From rows to figures: overall, by modality, by set, by kind.

Objects are averaged within their case, cases within their set, sets within the figure, so that neither a picture with
fifty nuclei nor a set with three hundred pictures outweighs the others. Distances are not averaged: a missed object's
is infinite.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from voxtrace.errors import InputError
from voxtrace.eval.bootstrap import SEED, figure

METRICS = ("dsc", "nsd", "iou", "seconds")
DIGITS = 6


class Sample(Protocol):
    """What can be summed up, such as a Row: where it belongs; its figures are further attributes."""

    @property
    def contender(self) -> tuple[str, str, bool]:
        """Model, prompt, and whether the z range was told."""
        ...

    @property
    def set(self) -> str:
        """The set of cases."""
        ...

    @property
    def case(self) -> str:
        """The case."""
        ...

    @property
    def patient(self) -> str:
        """Whose it is."""
        ...

    @property
    def modality(self) -> str:
        """As the manifest names it."""
        ...

    @property
    def kind(self) -> str:
        """Image, volume or video."""
        ...

    @property
    def status(self) -> str:
        """Done or failed."""
        ...


def summary(rows: Sequence[Sample], metrics: Sequence[str] = METRICS, *, seed: int = SEED) -> dict[str, Any]:
    """{"overall", "by_modality", "by_set", "by_kind"}, each figure {"mean", "low", "high", "n"}; n counts patients.

    rows: of one contender; InputError if there are several, or none.
    """
    contenders = {row.contender for row in rows}
    if len(contenders) != 1:
        raise InputError(f"a summary is of one model and prompt; these rows are of {len(contenders)}")

    def figures(some: Iterable[Sample]) -> dict[str, dict[str, float]]:
        return _figures(list(some), metrics, seed)

    return {
        "overall": figures(rows),
        "by_modality": _split(rows, lambda row: row.modality, figures),
        "by_set": _split(rows, lambda row: row.set, figures),
        "by_kind": _split(rows, lambda row: row.kind, figures),
    }


def summaries(rows: Iterable[Sample], metrics: Sequence[str] = METRICS, *, seed: int = SEED) -> list[dict[str, Any]]:
    """A summary of each contender, in the order of the rows: {"model", "prompt", "z_range", "failed", ...}."""
    found: dict[tuple[str, str, bool], list[Sample]] = defaultdict(list)
    for row in rows:
        found[row.contender].append(row)
    return [
        {"model": model, "prompt": prompt, "z_range": told, "failed": sum(r.status != "done" for r in own)}
        | summary(own, metrics, seed=seed)
        for (model, prompt, told), own in found.items()
    ]


def _split(
    rows: Sequence[Sample], key: Callable[[Sample], str], figures: Callable[[Iterable[Sample]], Any]
) -> dict[str, Any]:
    return {name: figures(row for row in rows if key(row) == name) for name in sorted({key(row) for row in rows})}


def _figures(rows: list[Sample], metrics: Sequence[str], seed: int) -> dict[str, dict[str, float]]:
    cases: dict[tuple[str, str, str], list[Sample]] = defaultdict(list)
    for row in rows:
        cases[row.set, row.patient, row.case].append(row)
    sets, patients, _ = zip(*cases, strict=True)
    out = {}
    for metric in metrics:
        values = [float(np.mean([getattr(row, metric) for row in own])) for own in cases.values()]
        out[metric] = {
            name: value if name == "n" else round(value, DIGITS)
            for name, value in asdict(figure(values, sets, patients, seed=seed)).items()
        }
    return out
