"""Which case a clip is cut from: large sets, or common modalities, do not crowd out the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.train.cases import LoadedCase
from voxtrace.train.options import Options


@dataclass(frozen=True, slots=True, eq=False)
class Balanced:
    """Cases by set. chances: (S,) float64 of each of S sets, in any scale; false where there is nothing to draw."""

    sets: Sequence[Sequence[LoadedCase]]
    chances: np.ndarray

    @classmethod
    def of(cls, cases: Iterable[LoadedCase], options: Options) -> Balanced:
        """As `Options.balance` says. A set of several modalities is one for each of them where those are balanced."""
        found: dict[tuple[str, str], list[LoadedCase]] = defaultdict(list)
        for case in cases:
            found[case.modality if options.balance == "modality" else "", case.set].append(case)
        chances = [np.sqrt(len(own)) * options.set_weights.get(name, 1.0) for (_, name), own in found.items()]
        if options.balance == "modality":
            totals: dict[str, float] = defaultdict(float)
            for (modality, _), chance in zip(found, chances, strict=True):
                totals[modality] += chance
            pairs = zip(found, chances, strict=True)
            chances = [chance / totals[modality] if chance else 0.0 for (modality, _), chance in pairs]
        return cls(list(found.values()), np.array(chances))

    def __bool__(self) -> bool:
        return bool(self.chances.any())

    def draw(self, rng: np.random.Generator) -> LoadedCase:
        """A case of a set."""
        own = self.sets[int(rng.choice(len(self.chances), p=self.chances / self.chances.sum()))]
        return own[int(rng.integers(len(own)))]
