"""Masks that somebody made elsewhere: a folder of predictions, one for each case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from voxtrace.bench.asking import GIVEN, Question
from voxtrace.bench.methods import Find
from voxtrace.bench.sources import stem_of
from voxtrace.errors import CaseMissingError
from voxtrace.io import read_mask
from voxtrace.io.reading import Scan
from voxtrace.manifest import KINDS, Case


@dataclass(frozen=True, eq=False)
class Predictions:
    """A folder with a mask for each case, in the labels of the reference.

    A case's mask has the stem of its image (for a video: a folder of that name), in the folder or in one named like
    its set. A case without one fails.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.resolve().name

    @property
    def kinds(self) -> Collection[str]:
        """All."""
        return KINDS

    @property
    def needs_range(self) -> bool:
        """No."""
        return False

    def takes(self, prompt: str) -> bool:
        """Nothing is asked."""
        return prompt == GIVEN

    def weights(self) -> dict[str, str | int]:
        """None."""
        return {}

    def open(self, case: Case, scan: Scan) -> Find:
        """Read the case's mask. Raises CaseMissingError, InputError, GeometryError."""
        labels = read_mask(self.file(case), like=scan)
        labels = labels[None] if labels.ndim == 2 else labels

        def find(question: Question) -> np.ndarray:
            return labels == question.label

        return find

    def file(self, case: Case) -> Path:
        """The case's mask. Raises CaseMissingError if there is none, or several."""
        stem = stem_of(case.image_path)
        for place in (self.folder / case.set, self.folder):
            found = self._by_stem.get(place, {}).get(stem, [])
            if len(found) > 1:
                raise CaseMissingError(f"{place} holds several masks for {case.id}: {', '.join(p.name for p in found)}")
            if found:
                return found[0]
        raise CaseMissingError(f"{self.folder} holds no mask for {case.id}; it would be called {stem}.*")

    @cached_property
    def _by_stem(self) -> dict[Path, dict[str, list[Path]]]:
        """{folder: {stem: files}} of the folder and those in it."""
        found: dict[Path, dict[str, list[Path]]] = {}
        for place in (self.folder, *(p for p in sorted(self.folder.iterdir()) if p.is_dir())):
            names: dict[str, list[Path]] = defaultdict(list)
            for path in sorted(place.iterdir()):
                names[stem_of(path)].append(path)
            found[place] = dict(names)
        return found
