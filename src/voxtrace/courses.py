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


# (prompted frames, ranges in which the object may lie, number of frames, what is at the edge) -> courses
Plan = Callable[[Sequence[int], Sequence[range], int, str], list[Course]]


def plan(prompted: Sequence[int], limits: Sequence[range], num_frames: int, edge: str = EDGE) -> list[Course]:
    """Both ways from the prompted frames to the ends of the range that holds them; two walks towards each other meet
    halfway.

    limits: ranges of frames in which to look, together all that is told; none for all frames. Ranges that touch or
    overlap are one. A prompted frame outside all of them widens the nearest. Nothing is looked for between ranges.
    """
    courses = []
    for allowed, marked in _ranges(prompted, limits, num_frames):
        courses.append(_down(marked[0], allowed, edge))
        for low, high in itertools.pairwise(marked):
            middle = (low + high) // 2
            courses.append(Course(low, 1, range(low + 1, middle + 1), MET))
            courses.append(Course(high, -1, range(high - 1, middle, -1), MET))
        courses.append(_up(marked[-1], allowed, num_frames, edge))
    return courses


def plan_onward(prompted: Sequence[int], limits: Sequence[range], num_frames: int, edge: str = EDGE) -> list[Course]:
    """One walk forward from the first prompted frame, as SAM 2 tracks a video: it passes later prompted frames.

    limits, if there are any, are those of `plan`: whoever told a range means all of it, so in each range another walk
    goes back to its beginning.
    """
    courses = []
    for allowed, marked in _ranges(prompted, limits, num_frames):
        courses += [_down(marked[0], allowed, edge)] if limits else []
        courses.append(_up(marked[0], allowed, num_frames, edge))
    return courses


def plan_unordered(prompted: Sequence[int], limits: Sequence[range], num_frames: int, edge: str = EDGE) -> list[Course]:
    """One walk over a whole set, without order."""
    return [Course(min(prompted), 0, range(num_frames), edge)]


def plan_nothing(prompted: Sequence[int], limits: Sequence[range], num_frames: int, edge: str = EDGE) -> list[Course]:
    """The prompted frames only."""
    return []


def _down(start: int, allowed: range, edge: str) -> Course:
    return Course(start, -1, range(start - 1, allowed.start - 1, -1), BOX_LIMIT if allowed.start > 0 else edge)


def _up(start: int, allowed: range, num_frames: int, edge: str) -> Course:
    return Course(start, 1, range(start + 1, allowed.stop), BOX_LIMIT if allowed.stop < num_frames else edge)


def _ranges(prompted: Sequence[int], limits: Sequence[range], num_frames: int) -> list[tuple[range, list[int]]]:
    """The separate ranges to look through, each with the prompted frames in it, both in the order of frames."""
    ranges = _merged(limits or [range(num_frames)])
    for frame in sorted(prompted):
        nearest = min(ranges, key=lambda r: max(r.start - frame, frame - (r.stop - 1), 0))
        widened = range(min(nearest.start, frame), max(nearest.stop, frame + 1))
        ranges = _merged([*(r for r in ranges if r != nearest), widened])
    marked = [(r, sorted(f for f in prompted if f in r)) for r in ranges]
    return [(r, frames) for r, frames in marked if frames]


def _merged(ranges: Sequence[range]) -> list[range]:
    """Ranges that touch or overlap made one; in the order of frames."""
    merged: list[range] = []
    for one in sorted(ranges, key=lambda r: r.start):
        if merged and one.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, one.stop))
        else:
            merged.append(one)
    return merged
