"""Methods that need no weights: what a net must beat.

All mark one frame and carry that mask through the scan. Where the z range is told it is carried through just that; else
as far as the object is wide: half its mean diameter in mm to either side. In a video it stays where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from voxtrace.bench.asking import Question
from voxtrace.bench.baselines import ellipse
from voxtrace.bench.grabcut import grabcut
from voxtrace.bench.methods import Find
from voxtrace.bench.walker import random_walker
from voxtrace.errors import PromptError
from voxtrace.frames import PictureFrames, VolumeFrames
from voxtrace.io.reading import Scan
from voxtrace.manifest import KINDS, Case
from voxtrace.prompts import Box, FramePrompt, on_frames
from voxtrace.volume import Picture, Video, Volume

BOXES = ("box", "box-jitter", "recist")
Mark = Callable[[np.ndarray, FramePrompt], np.ndarray]  # (H, W, 3) uint8, marks -> (H, W) bool


@dataclass(frozen=True, slots=True)
class Simple:
    """A mask of the marked frame, carried. prompts: the kinds that it understands."""

    name: str
    mark: Mark
    prompts: Collection[str] = BOXES

    @property
    def kinds(self) -> Collection[str]:
        """All."""
        return KINDS

    @property
    def needs_range(self) -> bool:
        """No."""
        return False

    def takes(self, prompt: str) -> bool:
        """Whether it understands this kind of prompt."""
        return prompt in self.prompts

    def weights(self) -> dict[str, str | int]:
        """None."""
        return {}

    def open(self, case: Case, scan: Scan) -> Find:
        """Frames as a net is shown them."""
        frames = (
            {Picture: PictureFrames, Volume: VolumeFrames}[type(scan)](scan)
            if not isinstance(scan, Video)
            else scan.frames
        )
        shape = (1, *scan.shape) if isinstance(scan, Picture) else scan.shape

        def find(question: Question) -> np.ndarray:
            marks, _ = on_frames(question.prompts, shape)
            mask = self.mark(frames[question.frame], marks[question.frame])
            z0, z1 = _reach(mask, question, scan)
            found = np.zeros(shape, bool)
            found[z0:z1] = mask
            return found

        return find


def ellipse_in_box(frame: np.ndarray, marks: FramePrompt) -> np.ndarray:
    """(H, W) bool: the ellipse inscribed in the box."""
    return ellipse(box_of(marks), frame.shape[:2])


def given_mask(frame: np.ndarray, marks: FramePrompt) -> np.ndarray:
    """(H, W) bool: the mask as it was given."""
    if marks.mask is None:
        raise PromptError("no mask was given that could be carried on")
    return marks.mask


def box_of(marks: FramePrompt) -> Box:
    """The box that box corners (or a RECIST line's) span. Raises PromptError without one."""
    extent = marks.extent_xy()
    if extent is None:
        raise PromptError("clicks alone do not say how large the object is; a box is needed")
    x0, y0, x1, y1 = extent
    return Box.on_slice(0, y0, x0, y1, x1)


def in_box(segment: Callable[[np.ndarray, Box], np.ndarray]) -> Mark:
    """A method that is given the frame and a box."""
    return lambda frame, marks: segment(frame, box_of(marks))


def _reach(mask: np.ndarray, question: Question, scan: Scan) -> tuple[int, int]:
    """The half-open frames on which the mask is carried."""
    if isinstance(scan, Video):
        return 0, scan.shape[0]
    if not isinstance(scan, Volume):
        return 0, 1
    if question.z_range is not None:
        return question.z_range
    z_mm, y_mm, x_mm = scan.spacing_mm
    slices = int(np.sqrt(np.count_nonzero(mask) * y_mm * x_mm / np.pi) / z_mm)
    return max(question.frame - slices, 0), question.frame + slices + 1


SIMPLE = {
    method.name: method
    for method in (
        Simple("ellipse", ellipse_in_box),
        Simple("grabcut", in_box(grabcut)),
        Simple("random-walker", in_box(random_walker)),
        Simple("carried", given_mask, ("mask",)),
    )
}
