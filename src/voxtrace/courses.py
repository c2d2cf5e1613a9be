"""Which way an object is followed from the frames on which it was marked: one Plan for each kind of input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

EDGE = "edge of the scan"
BOX_LIMIT = "limit of the 3D box"
MET = "met another prompt"


@dataclass(frozen=True, slots=True)
class Course:
    """Which way a walk goes. start: the prompted frame it sets out from. step: +1, -1, or 0 for a set without order.
    order: the frames to follow the object on; prompted ones are passed over. end: why it ends after the last."""

    start: int
    step: int
    order: range
    end: str


# (prompted frames, half-open limits of the object, number of frames, what is at the edge) -> courses
Plan = Callable[[Sequence[int], tuple[int, int], int, str], list[Course]]


def plan(prompted: Sequence[int], limits: tuple[int, int], num_frames: int, edge: str = EDGE) -> list[Course]:
    """Both ways from the prompted frames; two walks towards each other meet halfway.

    limits: half-open range of frames in which to look; prompted frames widen it.
    """
    prompted = sorted(prompted)
    first, last = min(limits[0], prompted[0]), max(limits[1] - 1, prompted[-1])
    low_end, high_end = edge if first == 0 else BOX_LIMIT, edge if last == num_frames - 1 else BOX_LIMIT
    courses = [Course(prompted[0], -1, range(prompted[0] - 1, first - 1, -1), low_end)]
    for low, high in itertools.pairwise(prompted):
        middle = (low + high) // 2
        courses.append(Course(low, 1, range(low + 1, middle + 1), MET))
        courses.append(Course(high, -1, range(high - 1, middle, -1), MET))
    courses.append(Course(prompted[-1], 1, range(prompted[-1] + 1, last + 1), high_end))
    return courses


def plan_onward(prompted: Sequence[int], limits: tuple[int, int], num_frames: int, edge: str = EDGE) -> list[Course]:
    """One walk forward from the first prompted frame, as SAM 2 tracks a video: it passes later prompted frames."""
    last = max(limits[1] - 1, *prompted)
    return [Course(min(prompted), 1, range(min(prompted) + 1, last + 1), edge if last == num_frames - 1 else BOX_LIMIT)]


def plan_unordered(prompted: Sequence[int], limits: tuple[int, int], num_frames: int, edge: str = EDGE) -> list[Course]:
    """One walk over a whole set, without order."""
    return [Course(min(prompted), 0, range(num_frames), edge)]


def plan_nothing(prompted: Sequence[int], limits: tuple[int, int], num_frames: int, edge: str = EDGE) -> list[Course]:
    """The prompted frames only."""
    return []
