"""What every engine of MedSAM and LiteMedSAM does around its net, whatever runs it: boxes only, single images.

Both nets were trained with one box an object and nothing else, so nothing else is passed on to them. They have no
memory: to follow an object is to ask the next slice with the box of the last mask (carrying.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from voxtrace.engine import Decoded, Entry, Features, Recalled
from voxtrace.engines.carrying import box_of, carried, entries
from voxtrace.engines.fitting import Fit
from voxtrace.errors import ModelError, PromptError
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt

BOXES_AT_ONCE = 16  # some 60 MB of decoder maps each
GIVEN_LOGIT = 10.0  # what a given mask comes back as, inside; its negative outside


@dataclass(frozen=True, slots=True, eq=False)
class Sam1Decoded:
    """N objects on one frame. logits (N, H, W) and iou (N,), float32. marked: the box of each that was drawn last."""

    logits: np.ndarray
    iou: np.ndarray
    marked: tuple[np.ndarray, ...] = ()
    object_score: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        # SAM 1 judges no presence: the box says that the object is there. sigmoid(10) is 1.
        object.__setattr__(self, "object_score", np.full(len(self.iou), 10.0, np.float32))


class BoxEngine(ABC):
    """Everything of the Engine but `encode`. It keeps nothing between calls; what it remembers are boxes."""

    follows = False
    zoom: float | None = None
    name: str
    image_size: int
    batch: int
    fit: Fit
    features_type: type  # its own

    @abstractmethod
    def decode(self, features: Features, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 2, 2) in net pixels -> logits (N, H, W) and iou (N,)."""

    def begin(self, features: Features, prompts: Sequence[FramePrompt]) -> Decoded:
        """Decode N objects from a box each. A mask alone comes back as it was given.

        Raises PromptError for clicks, scribbles and RECIST lines, and for a mask besides a box.
        """
        own = self._own(features)
        logits = np.empty((len(prompts), *own.shape), np.float32)
        iou = np.ones(len(prompts), np.float32)
        boxes: dict[int, np.ndarray] = {}
        for index, prompt in enumerate(prompts):
            if prompt.mask is not None and not len(prompt.labels):
                logits[index] = np.where(prompt.mask, GIVEN_LOGIT, -GIVEN_LOGIT)
            else:
                boxes[index] = self._box(prompt, own.shape)
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            group = list(boxes)[start : start + BOXES_AT_ONCE]
            logits[group], iou[group] = self.decode(own, np.stack([boxes[index] for index in group]))
        marked = (box_of(prompt) for prompt in prompts)
        return Sam1Decoded(logits, iou, tuple(_whole(own.shape) if box is None else box for box in marked))

    def follow(self, features: Features, recalled: Sequence[Recalled]) -> Decoded:
        """Decode N objects from the boxes of their masks on the frame before; from the marked box after an empty one.

        It finds something on every frame: which ones show the object must be told (`follows` is False).
        """
        own = self._own(features)
        margin_xy = self.fit.carried_margin / self.fit.scale_xy(own.shape)
        carried_on = [carried(one, margin_xy, own.shape) for one in recalled]
        decoded = self.begin(features, [prompt for prompt, _ in carried_on])
        return Sam1Decoded(decoded.logits, decoded.iou, tuple(marked for _, marked in carried_on))

    def remember(self, features: Features, decoded: Decoded, frame: int, prompted: bool) -> list[Entry]:
        """The boxes of N objects. Raises ModelError for what another engine decoded."""
        if not isinstance(decoded, Sam1Decoded):
            raise ModelError(f"this engine cannot remember a {type(decoded).__name__}: another engine decoded it")
        found = entries(decoded.logits, decoded.iou, decoded.object_score, decoded.marked, frame, prompted)
        return list[Entry](found)

    def _box(self, prompt: FramePrompt, shape: tuple[int, int]) -> np.ndarray:
        """The (2, 2) xy of the box's first and last pixel in the net's image, as both nets were trained."""
        if prompt.mask is not None or prompt.labels.tolist() != [BOX_START, BOX_STOP]:
            raise PromptError(
                f"{self.name} was trained with boxes only and does not understand {_besides_box(prompt)}: give one box "
                "alone (for a RECIST line or a scribble, the box around it), or take a model of the SAM 2 family, "
                "e.g. --model voxtrace-small"
            )
        first, stop = prompt.points_xy * self.fit.scale_xy(shape)
        return np.stack([first, np.maximum(stop - 1, first)]).astype(np.float32)

    def _own(self, features: Features) -> Features:
        if not isinstance(features, self.features_type):
            raise ModelError(f"this engine cannot decode a {type(features).__name__}: another engine encoded the frame")
        return features


def _besides_box(prompt: FramePrompt) -> str:
    """What keeps a prompt from being one box, in words."""
    clicks = int((prompt.labels < BOX_START).sum())
    found = ["a point" if clicks == 1 else f"{clicks} points"] if clicks else []
    found += ["a mask"] if prompt.mask is not None else []
    return " and ".join(found) or "a prompt without marks"


def _whole(shape: tuple[int, int]) -> np.ndarray:
    """The (2, 2) box of a frame: of an object without box and mask there."""
    return np.array([[0, 0], shape[::-1]], np.float32)
