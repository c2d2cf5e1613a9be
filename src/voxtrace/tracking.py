"""The one loop: objects are begun on the frames that a person marked and followed over all others.

A Walk is one object in one direction. `plan` lays the walks of an object out, `begin` decodes its prompted frames,
`propagate` follows all objects at once. A frame is encoded once for all objects and both directions.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from voxtrace.engine import NO_OBJECT_LOGIT, Engine, Entry, Features
from voxtrace.memory import Bank, MemoryPolicy
from voxtrace.prompts import FramePrompt
from voxtrace.view import View, Whole
from voxtrace.volume import Frames

EDGE = "edge of the scan"
BOX_LIMIT = "limit of the 3D box"
MET = "met another prompt"
LEFT_VIEW = "left its window"  # never final: the session looks again through a larger one
CACHE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class EndOfObject:
    """Stop after `patience` frames in a row on which the object is absent: the net says so, or its mask has fewer than
    `min_pixels` pixels. Those frames are given back empty."""

    patience: int = 2
    min_pixels: int = 1

    def absent(self, logits: np.ndarray, object_score: float) -> bool:
        """Whether the object is missing from one frame with these (H, W) logits."""
        return object_score <= 0 or int(np.count_nonzero(logits > 0)) < self.min_pixels


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


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """One object in one direction.

    bank: all its prompted frames. stop: None to follow to the end whatever is seen. place: what a frame is called
    ("z", "frame"). watch_border: end the walk where the mask touches the border of the view.
    """

    object: int
    bank: Bank
    course: Course
    view: View = field(default_factory=Whole)
    stop: EndOfObject | None = None
    place: str = "z"
    watch_border: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """One object on one frame. logits: (H, W) float32 of the frame, > 0 is inside; entry: what is remembered of it."""

    object: int
    frame: int
    logits: np.ndarray
    object_score: float
    iou: float
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """How a walk ended: it set out from frame `start` by `step`; `last` is the last frame that it kept."""

    object: int
    start: int
    step: int
    last: int
    reason: str


class FeatureCache:
    """Frames encoded once, as seen through a view; the least recently used are forgotten, so memory is bounded.

    size: frames kept; None lets the size of the net decide (about 1 GiB).
    """

    def __init__(self, engine: Engine, frames: Frames, size: int | None = None) -> None:
        self.engine = engine
        self.frames = frames
        # A SAM 2 net keeps about 4 float32 values for each pixel of its input: 4 MiB at 512, 16 MiB at 1024.
        self.size = max(engine.batch, size or CACHE_BYTES // (16 * engine.image_size**2))
        self.shapes: dict[int, tuple[int, int]] = {}  # (H, W) of every frame that was ever encoded
        self._kept: OrderedDict[tuple[View, int], Features] = OrderedDict()

    def __call__(self, view: View, frame: int, ahead: Sequence[int] = ()) -> Features:
        """The features of `frame`. If it must be encoded, so are those `ahead`, up to the engine's batch."""
        if (view, frame) not in self._kept:
            missing = [f for f in ahead if (view, f) not in self._kept and f != frame]
            self._encode(view, [frame, *missing][: self.engine.batch])
        self._kept.move_to_end((view, frame))
        return self._kept[view, frame]

    def _encode(self, view: View, frames: Sequence[int]) -> None:
        whole = {f: self.frames[f] for f in frames}
        self.shapes |= {f: frame.shape[:2] for f, frame in whole.items()}
        pixels = {f: view.crop(frame) for f, frame in whole.items()}
        shape = pixels[frames[0]].shape
        alike = [f for f in frames if pixels[f].shape == shape]
        encoded = self.engine.encode([pixels[f] for f in alike])
        self._kept.update({(view, f): features for f, features in zip(alike, encoded, strict=True)})
        while len(self._kept) > self.size:
            oldest = next(key for key in self._kept if key != (view, frames[0]))
            del self._kept[oldest]


def begin(
    features: FeatureCache, frame: int, view: View, prompts: Mapping[int, FramePrompt], remember: bool = True
) -> list[Tracked]:
    """Decode one prompted frame for all objects with prompts there {object: prompt}, seen through one view."""
    seen = features(view, frame)
    decoded = features.engine.begin(seen, [view.move(prompt) for prompt in prompts.values()])
    entries = features.engine.remember(seen, decoded, frame, prompted=True) if remember else [None] * len(prompts)
    shape = features.shapes[frame]
    return [
        Tracked(name, frame, view.paste(logits, shape), float(score), float(iou), entry)
        for name, logits, score, iou, entry in zip(
            prompts, decoded.logits, decoded.object_score, decoded.iou, entries, strict=True
        )
    ]


def propagate(features: FeatureCache, walks: Sequence[Walk], memory: MemoryPolicy) -> Iterator[Tracked | Stop]:
    """Follow all walks to their ends. Yields each followed frame once and one Stop a walk.

    Walks that are on the same frame in the same direction and view are followed in one call of the engine.
    """
    left: set[int] = set()
    for forward in (True, False):
        going = [_Going(walk, walk.bank, left) for walk in walks if (walk.course.step >= 0) == forward]
        for frame in sorted({f for g in going for f in g.walk.course.order}, reverse=not forward):
            for view, together in _by_view(going, frame):
                yield from _follow(features, frame, view, together, memory)
        for g in going:
            yield from g.through()


def _follow(
    features: FeatureCache, frame: int, view: View, together: list[_Going], memory: MemoryPolicy
) -> Iterator[Tracked | Stop]:
    seen = features(view, frame, ahead=_next(frame, together[0].walk, features.engine.batch))
    recalled = [memory.recall(g.bank, frame, g.walk.course.step, seen) for g in together]
    decoded = features.engine.follow(seen, recalled)
    entries = features.engine.remember(seen, decoded, frame, prompted=False)
    shape = features.shapes[frame]
    found = zip(together, decoded.logits, decoded.object_score, decoded.iou, entries, strict=True)
    for g, logits, score, iou, entry in found:
        g.bank = memory.admit(g.bank, entry)
        pasted = view.paste(logits, shape)
        yield from g.judge(Tracked(g.walk.object, frame, pasted, float(score), float(iou), entry))


@dataclass(slots=True, eq=False)
class _Going:
    """A walk under way. absent: frames without the object, held back until it returns or the walk stops."""

    walk: Walk
    bank: Bank
    left: set[int]  # objects that left their view: shared by all walks
    absent: list[Tracked] = field(default_factory=list)
    last: int = -1
    stopped: bool = False

    def __post_init__(self) -> None:
        self.last = self.walk.course.start

    def wants(self, frame: int) -> bool:
        """Whether the walk follows its object on this frame."""
        over = self.stopped or self.walk.object in self.left
        prompted = any(entry.frame == frame for entry in self.walk.bank.prompted)
        return frame in self.walk.course.order and not over and not prompted

    def judge(self, tracked: Tracked) -> Iterator[Tracked | Stop]:
        """Pass a frame on, hold it back, or end the walk."""
        walk = self.walk
        if walk.watch_border and walk.view.cuts(tracked.logits > 0):
            self.left.add(walk.object)
            yield self._stop(LEFT_VIEW)
        elif walk.stop is not None and walk.stop.absent(tracked.logits, tracked.object_score):
            self.absent.append(tracked)
            if len(self.absent) >= walk.stop.patience:
                yield from self._empty()
                yield self._stop(f"object ended at {walk.place}={self.last}")
        else:
            yield from [*self.absent, tracked]
            self.absent, self.last = [], tracked.frame

    def through(self) -> Iterator[Tracked | Stop]:
        """The end of the way."""
        if self.stopped or self.walk.object in self.left:
            return
        if self.absent:
            yield from self._empty()
            yield self._stop(f"object ended at {self.walk.place}={self.last}")
        else:
            yield self._stop(self.walk.course.end)

    def _empty(self) -> list[Tracked]:
        return [replace(t, logits=np.full_like(t.logits, NO_OBJECT_LOGIT)) for t in self.absent]

    def _stop(self, reason: str) -> Stop:
        self.stopped = True
        return Stop(self.walk.object, self.walk.course.start, self.walk.course.step, self.last, reason)


def _by_view(going: list[_Going], frame: int) -> list[tuple[View, list[_Going]]]:
    views: dict[View, list[_Going]] = {}
    for g in going:
        if g.wants(frame):
            views.setdefault(g.walk.view, []).append(g)
    return list(views.items())


def _next(frame: int, walk: Walk, count: int) -> list[int]:
    step = walk.course.step or 1
    return [f for f in range(frame + step, frame + step * count, step) if f in walk.course.order]


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
