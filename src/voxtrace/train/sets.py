"""Clips that are sets: pictures without order on which one class is to be found, wherever it lies.

The first picture is the marked one. The others are of the same set and show the same class, or are the same picture
placed anew: what stays is what the object looks like.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from voxtrace.train import appearance
from voxtrace.train.augment import Strength
from voxtrace.train.cases import LabelledObject, LoadedCase
from voxtrace.train.framing import box_of, choose_window
from voxtrace.train.options import Options
from voxtrace.train.rendering import rendered

SAME_PICTURE = 0.3  # share of sets that are one picture, placed anew for each frame
WHOLE_FRAME = 0.5
LOOKS = ("stretch", "tone", "invert", "bias", "noise", "blur", "coarse", "colour", "shuffle", "to_grey")
SAME_LOOK = dict.fromkeys(LOOKS, 0.0)  # what changes the look of a set's pictures is drawn once for all

Shown = tuple[LoadedCase, LabelledObject]


@dataclass(frozen=True, slots=True, eq=False)
class PictureSets:
    """Pictures by set and class. classes: {(set, label): [(case, object)]}, each with at least two pictures."""

    classes: Mapping[tuple[str, int], Sequence[Shown]]

    @classmethod
    def of(cls, loaded: Sequence[LoadedCase]) -> PictureSets:
        """What the pictures among the loaded cases offer; all objects of a picture of cells are one class."""
        found: dict[tuple[str, int], list[Shown]] = defaultdict(list)
        for case in loaded:
            if case.kind == "image":
                for one in case.objects.get("all") or case.objects["whole"]:
                    found[case.set, one.label].append((case, one))
        return cls({key: shown for key, shown in found.items() if len(shown) > 1})

    def draw(self, rng: np.random.Generator, length: int) -> list[Shown]:
        """A class's pictures: as many as asked for, one twice only where there are too few."""
        keys = list(self.classes)
        shares = np.sqrt([len(self.classes[key]) for key in keys])
        shown = self.classes[keys[int(rng.choice(len(keys), p=shares / shares.sum()))]]
        if rng.random() < SAME_PICTURE:
            return [shown[int(rng.integers(len(shown)))]] * length
        return [shown[i] for i in rng.choice(len(shown), length, replace=len(shown) < length)]


def cut_set(shown: Sequence[Shown], rng: np.random.Generator, options: Options) -> tuple[np.ndarray, np.ndarray]:
    """Images (T, 3, S, S) and masks (T, S, S), uint8, of pictures framed each for itself and coloured alike."""
    apart = replace(options, loose_jitter=0.5, whole_frame=WHOLE_FRAME, strength=replace(options.strength, **SAME_LOOK))
    images, masks = zip(*(_placed(case, target, rng, apart) for case, target in shown), strict=True)
    pictures = torch.from_numpy(np.concatenate(images)).float() / 255
    if all((image[0, 0] == image[0, 1]).all() for image in images):
        pictures = pictures[:, :1]
    pictures = appearance.look(pictures, rng, _milder(options.strength))
    coloured = (pictures * 255 + 0.5).to(torch.uint8).expand(-1, 3, -1, -1)
    return np.ascontiguousarray(coloured.numpy()), np.concatenate(masks)


def _placed(
    case: LoadedCase, target: LabelledObject, rng: np.random.Generator, options: Options
) -> tuple[np.ndarray, np.ndarray]:
    spot = target.on_frame(0)
    assert spot is not None
    box = box_of(*spot)
    height, width = case.frames.shape[1:3]
    window = choose_window(box, (height, width), rng, options, loose=True)
    images, (mask,) = rendered(case, [target], 0, [0], window, box, rng, options)
    return images, mask


def _milder(strength: Strength) -> Strength:
    """Pictures of a set are not shuffled in their colours or made grey half of the time: looks are all there is."""
    return replace(strength, shuffle=strength.shuffle / 2, to_grey=strength.to_grey / 2)
