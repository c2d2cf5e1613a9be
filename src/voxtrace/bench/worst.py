"""The worst cases of a run, kept as small pictures beside its results: DIR/worst/*.npz.

Of each model a few; of one case only its worst object, under the prompt by which it was worst. The worst case of each
set comes before the second worst of any, so that one hard set does not fill all places. What broke has no picture: its
error says what happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bench.shown import Shown, Sight, most_different, read_sight, shown, write_sight
from voxtrace.bench.truths import Target
from voxtrace.errors import InputError, OutputError
from voxtrace.eval.results import Row
from voxtrace.frames import PictureFrames, VolumeFrames
from voxtrace.io.reading import Scan
from voxtrace.preview.view import View, view_of
from voxtrace.prompts import FramePrompt, Prompt, on_frames
from voxtrace.volume import Frames, Picture, Volume

FOLDER = "worst"
MOST = 6  # cases of a model
ABOUT = ("model", "prompt", "z_range", "set", "case", "object", "kind", "modality", "dsc", "nsd")


@dataclass(frozen=True, slots=True)
class Kept:
    """A case that has a picture."""

    set: str
    case: str
    dsc: float


class Worst:
    """The pictures in the folder `out`, of earlier runs and of this one. most: of each model; 0 keeps none."""

    def __init__(self, out: Path, most: int = MOST) -> None:
        self.folder, self.most = out / FOLDER, most
        self._kept: dict[str, dict[str, Kept]] = {}
        for sight in read_worst(out):
            model, case = sight.about["model"], sight.about["case"]
            self._kept.setdefault(model, {})[case] = Kept(sight.about["set"], case, sight.about["dsc"])

    def offer(
        self,
        about: Mapping[str, Any],
        scan: Scan,
        target: Target,
        found: np.ndarray,
        prompts: Sequence[Prompt] = (),
    ) -> None:
        """Keep a picture of this object if it is among the worst. about: what ABOUT names; found: (D, H, W) bool of the
        whole scan. Raises OutputError if it cannot be written."""
        if self._belongs(about):
            self._write(Sight(about, frames_of(scan, target, found, prompts)))

    def _belongs(self, about: Mapping[str, Any]) -> bool:
        kept = dict(self._kept.get(about["model"], {}))
        before = kept.get(about["case"])
        if before is not None and before.dsc <= about["dsc"]:
            return False
        kept[about["case"]] = Kept(about["set"], about["case"], about["dsc"])
        return about["case"] in [one.case for one in in_order(kept.values())[: self.most]]

    def _write(self, sight: Sight) -> None:
        model, case = sight.about["model"], sight.about["case"]
        kept = self._kept.setdefault(model, {})
        kept[case] = Kept(sight.about["set"], case, sight.about["dsc"])
        try:
            self.folder.mkdir(exist_ok=True)
            write_sight(self._file(model, case), sight)
            for one in in_order(kept.values())[self.most :]:
                self._file(model, one.case).unlink(missing_ok=True)
                del kept[one.case]
        except OSError as error:
            raise OutputError(f"a picture cannot be written to {self.folder}: {error.strerror or error}") from None

    def _file(self, model: str, case: str) -> Path:
        name = hashlib.sha256(f"{model}\n{case}".encode()).hexdigest()[:16]
        return self.folder / f"{name}.npz"


def about(row: Row) -> dict[str, Any]:
    """What a picture tells of itself."""
    return {name: getattr(row, name) for name in ABOUT}


def read_worst(out: Path) -> list[Sight]:
    """The pictures of a run's folder, the worst first; none if there are none. One that is damaged is left out."""
    found = []
    for path in sorted((out / FOLDER).glob("*.npz")):
        try:
            found.append(read_sight(path))
        except InputError:
            continue
    return sorted(found, key=lambda sight: (sight.about["dsc"], sight.about["case"]))


def in_order(kept: Any) -> list[Kept]:
    """Each set's worst first, then each set's second worst, ..."""
    by_set: dict[str, list[Kept]] = {}
    for one in sorted(kept, key=lambda one: (one.dsc, one.case)):
        by_set.setdefault(one.set, []).append(one)
    places = [(place, one.dsc, one.case, one) for own in by_set.values() for place, one in enumerate(own)]
    return [one for *_, one in sorted(places, key=lambda item: item[:3])]


def frames_of(scan: Scan, target: Target, found: np.ndarray, prompts: Sequence[Prompt]) -> tuple[Shown, ...]:
    """The marked frame, and the scored one on which the mask is most wrong, if that is another."""
    marks, _ = on_frames(prompts, found.shape) if prompts else ({}, None)  # type: ignore[arg-type]
    wrong = most_different(found[list(target.frames)], target.mask, target.frames)
    frames, view, pixel_mm = _looked_at(scan)

    def look(frame: int) -> Shown:
        truth = target.mask[target.frames.index(frame)] if frame in target.frames else target.marked
        prompt: FramePrompt | None = marks.get(frame)
        return shown(frame, frames[frame], truth, found[frame], prompt, view, pixel_mm)

    return tuple(look(frame) for frame in dict.fromkeys([*([target.frame] if prompts else []), wrong]))


def _looked_at(scan: Scan) -> tuple[Frames, View, tuple[float, float]]:
    """Its frames, and how they are turned and stretched."""
    if isinstance(scan, Volume):
        return VolumeFrames(scan), view_of(scan.affine_lps), scan.spacing_mm[1:]
    frames = PictureFrames(scan) if isinstance(scan, Picture) else scan.frames
    return frames, View(), (1.0, 1.0)
