"""How nets of single images go through a told range of slices: each slice is asked with the box of the mask before it.

So do the published scripts of LiteMedSAM (CVPR24_LiteMedSAM_infer.py) and MedSAM (extensions/seg_3dnii_sparse_marker),
from the marked slice outward: the mask's box, widened by some pixels of the net; where a mask is empty, the next slice
is asked with the marked box again. Nothing says that the object has ended, so the range must be told. Differs from
both: the box is the mask's own, not that of the mask resized to the net.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtrace.engine import Recalled
from voxtrace.errors import ModelError
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt


@dataclass(frozen=True, slots=True, eq=False)
class BoxEntry:
    """What is remembered of one object on one frame: boxes, (2, 2) xy of the first and past the last pixel.

    box: of its mask; None if that is empty. marked: the last one that a person drew.
    """

    frame: int
    prompted: bool
    object_score: float
    iou: float
    box: np.ndarray | None
    marked: np.ndarray

    @property
    def key(self) -> np.ndarray:
        """Boxes are like or unlike nothing: raises ModelError."""
        raise ModelError("nets of single images remember boxes, which cannot be sorted; leave --memory out")

    @property
    def image_key(self) -> np.ndarray:
        """As `key`."""
        return self.key


def carried(recalled: Recalled, margin_xy: np.ndarray, shape: tuple[int, int]) -> tuple[FramePrompt, np.ndarray]:
    """The box to ask an object's next frame of (H, W) with, and the one that was marked last.

    margin_xy: (2,) pixels by which each side of a mask's box is widened, within the frame.
    """
    entry, _ = min(recalled.pointers, key=lambda item: item[1])  # the frame before, followed or marked
    if not isinstance(entry, BoxEntry):
        raise ModelError(f"a box cannot be carried on from a {type(entry).__name__}: another engine remembered it")
    if entry.box is None:
        return as_prompt(entry.marked), entry.marked
    widened = entry.box + np.stack([-margin_xy, margin_xy])
    return as_prompt(np.clip(widened, 0, shape[::-1])), entry.marked


def as_prompt(box_xy: np.ndarray) -> FramePrompt:
    """A (2, 2) box as marks."""
    return FramePrompt(box_xy.astype(np.float32), np.array([BOX_START, BOX_STOP], np.int32))


def box_of(prompt: FramePrompt) -> np.ndarray | None:
    """(2, 2) xy that a prompt's box or mask spans; None if it has neither."""
    extent = prompt.extent_xy()
    return None if extent is None else np.array(extent, np.float32).reshape(2, 2)


def entries(
    logits: np.ndarray, iou: np.ndarray, score: np.ndarray, marked: Sequence[np.ndarray], frame: int, prompted: bool
) -> list[BoxEntry]:
    """What is remembered of N objects. logits (N, H, W); marked: the box of each that was marked last."""
    boxes = [box_of(FramePrompt(mask=mask)) for mask in logits > 0]
    return [
        BoxEntry(frame, prompted, float(s), float(i), box, drawn)
        for box, drawn, s, i in zip(boxes, marked, score, iou, strict=True)
    ]
