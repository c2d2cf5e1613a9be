"""Synthetic cases by number, made when they are first asked for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import torch

from voxtrace.train.cases import LoadedCase
from voxtrace.train.synth.case import synthetic_case, synthetic_film


@dataclass(slots=True)
class SynthPool:
    """A window of `size` synthetic cases that moves on by one case every `keep` asked-for draws.

    Odd cases are pictures; of the even ones 4, 10, 16... are films, the others volumes. A case is made when first asked
    for and then kept a while. device: where they are painted; noise is another on another kind of device.
    """

    seed: int
    size: int = 32
    device: str | torch.device = "cpu"
    _made: OrderedDict[int, LoadedCase] = field(default_factory=OrderedDict)

    def case(self, number: int) -> LoadedCase:
        """Synthetic case `number`: the same for the same seed, in any process."""
        if number not in self._made:
            self._made[number] = self._make(number)
            while len(self._made) > 2 * self.size:
                self._made.popitem(last=False)
        return self._made[number]

    def near(self, position: int, rng: np.random.Generator, flat: bool) -> LoadedCase:
        """A random case of the window that `position` has reached; `flat`: a picture, else a volume or a film."""
        return self.case(2 * (position + int(rng.integers(self.size // 2))) + int(flat))

    def _make(self, number: int) -> LoadedCase:
        rng = np.random.default_rng([self.seed, number])
        if number % 6 == 4:
            return synthetic_film(rng, self.device)
        return synthetic_case(rng, flat=number % 2 == 1, device=self.device)
