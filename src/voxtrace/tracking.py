"""The one loop: objects are begun on the frames that a person marked and followed over all others.

A Walk is one object in one direction. `begin` decodes its marked frames, `propagate` follows all objects at once. A
frame is encoded once for all objects and both directions that see it through the same window; the window goes with
an object that moves or grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from voxtrace.courses import Course
from voxtrace.engine import NO_OBJECT_LOGIT, Entry, Recalled
from voxtrace.feature_cache import FeatureCache
from voxtrace.memory import Bank, MemoryPolicy
from voxtrace.prompts import FramePrompt
from voxtrace.view import View, Whole, moved

SHOWN_BEFORE = (1.0, 0.5)  # how much the last frame counts, and the one before it
SHOWN_OF_SET = 4  # how many of a set's marked pictures a net looks at
SHOWN_MARKED = 0.9  # how much a marked frame counts, to the power of its distance beyond 1
LOOKS = 4  # at one frame: the first, and three more through other windows while the mask touches the border


@dataclass(frozen=True, slots=True)
class EndOfObject:
    """Stop after `patience` frames in a row on which the object is absent. Those frames are given back empty.

    Absent: the net says so; or its mask has fewer than `min_pixels` pixels, or less than `least` or more than `most`
    times the object's size where it was marked: a speck is what is left over after an object's end, and a mask that
    swells has run into a neighbour.
    """

    patience: int = 2
    min_pixels: int = 1
    least: float = 0.0
    most: float = float("inf")

    def absent(self, logits: np.ndarray, object_score: float, marked_pixels: float = 0.0) -> bool:
        """Whether the object is missing from one frame with these (H, W) logits; marked_pixels 0 is an unknown size."""
        pixels = int(np.count_nonzero(logits > 0))
        strange = marked_pixels > 0 and not self.least <= pixels / marked_pixels <= self.most
        return object_score <= 0 or pixels < self.min_pixels or strange


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """One object on one frame.

    logits: (H, W) float32 of the frame, > 0 is inside; view: the window it was seen in.
    entry: what is remembered of it; None where nothing is, or once `propagate` has given the frame away.
    """

    object: int
    frame: int
    logits: np.ndarray
    object_score: float
    iou: float
    entry: Entry | None = None
    view: View = field(default_factory=Whole)


@dataclass(frozen=True, slots=True)
class Stop:
    """How a walk ended: it set out from frame `start` by `step`; `last` is the last frame that it kept."""

    object: int
    start: int
    step: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """One object in one direction.

    marked: what `begin` made of all the object's marked frames.
    stop: None to follow to the end whatever is seen. place: what a frame is called ("z", "frame"). zoom: how large a
    window is beside the object (`view_around`); None keeps the window as it is.
    """

    object: int
    marked: Sequence[Tracked]
    course: Course
    stop: EndOfObject | None = None
    place: str = "z"
    zoom: float | None = None


def begin(
    features: FeatureCache, frame: int, view: View, prompts: Mapping[int, FramePrompt], remember: bool = True
) -> list[Tracked]:
    """Decode one marked frame for all objects with prompts there {object: prompt}, seen through one view."""
    seen = features(view, frame)
    decoded = features.engine.begin(seen, [view.move(prompt) for prompt in prompts.values()])
    entries = features.engine.remember(seen, decoded, frame, prompted=True) if remember else [None] * len(prompts)
    shape = features.shapes[frame]
    return [
        Tracked(name, frame, view.paste(logits, shape), float(score), float(iou), entry, view)
        for name, logits, score, iou, entry in zip(
            prompts, decoded.logits, decoded.object_score, decoded.iou, entries, strict=True
        )
    ]


def propagate(features: FeatureCache, walks: Sequence[Walk], memory: MemoryPolicy) -> Iterator[Tracked | Stop]:
    """Follow all walks to their ends. Yields each followed frame once and one Stop a walk.

    What is yielded holds no memory entry, so that whoever keeps it keeps no more than masks.
    Walks that are on the same frame in the same direction and view are followed in one call of the engine.
    """
    try:
        for forward in (True, False):
            of_this_way = [walk for walk in walks if (walk.course.step >= 0) == forward]
            yield from _one_way(features, of_this_way, memory, forward)
    finally:
        features.rest()


def _one_way(
    features: FeatureCache, walks: Sequence[Walk], memory: MemoryPolicy, forward: bool
) -> Iterator[Tracked | Stop]:
    going = [_Going.of(walk, len(features.frames)) for walk in walks]
    for frame in sorted({f for g in going for f in g.walk.course.order}, reverse=not forward):
        for g in going:
            yield from g.pass_over(frame)
        due = [g for g in going if g.wants(frame)]
        for look in range(LOOKS):
            for view, together in _by_view(due):
                yield from _follow(features, frame, view, together, memory, last_look=look == LOOKS - 1)
            due = [g for g in due if g.looks_again]
    for g in going:
        yield from g.through()


def _follow(
    features: FeatureCache, frame: int, view: View, together: list[_Going], memory: MemoryPolicy, last_look: bool
) -> Iterator[Tracked | Stop]:
    seen = features(view, frame, ahead=_next(frame, together[0].walk, max(features.engine.batch, 2)))
    recalled = [g.shown(frame, memory.recall(g.bank, frame, g.walk.course.step, seen)) for g in together]
    decoded = features.engine.follow(seen, recalled)
    entries = features.engine.remember(seen, decoded, frame, prompted=False)
    shape = features.shapes[frame]
    found = zip(together, decoded.logits, decoded.object_score, decoded.iou, entries, strict=True)
    for g, logits, score, iou, entry in found:
        tracked = Tracked(g.walk.object, frame, view.paste(logits, shape), float(score), float(iou), entry, view)
        g.looks_again = g.walk.zoom is not None and not last_look and view.cuts(tracked.logits > 0)
        if g.looks_again:
            g.move(features, moved(view, tracked.logits > 0, g.walk.zoom))
        else:
            g.bank = memory.admit(g.bank, entry)
            yield from g.judge(tracked)


@dataclass(slots=True, eq=False)
class _Going:
    """A walk under way.

    anchor: the frame where the object was marked last. latest: the frames dealt with last, newest first;
    where absence is not the end, the last ones with the object: shown an empty mask as what was before, a net does not
    find an object that returns. Not in volumes, where absence is the end: their mean DSC fell from 0.662 to 0.660.
    absent: frames without the object, held back until it returns or the walk stops. last: the last frame with it.
    """

    walk: Walk
    bank: Bank
    anchor: Tracked
    latest: tuple[Tracked, ...]
    view: View
    last: int
    absent: list[Tracked] = field(default_factory=list)
    looks_again: bool = False
    stopped: bool = False

    @classmethod
    def of(cls, walk: Walk, num_frames: int) -> _Going:
        """Every walk of an object knows all frames on which it was marked, also those ahead."""
        bank = Bank(tuple(t.entry for t in walk.marked if t.entry is not None), num_frames=num_frames)
        near = min(walk.marked, key=lambda t: abs(t.frame - walk.course.start))
        return cls(walk, bank, near, (near,), near.view, walk.course.start)

    def wants(self, frame: int) -> bool:
        """Whether the walk follows its object on this frame; a marked one is passed over."""
        return self._reaches(frame) and all(marked.frame != frame for marked in self.walk.marked)

    def pass_over(self, frame: int) -> Iterator[Tracked]:
        """Take a marked frame as it is: the object is there, whatever was held back before it is empty."""
        for marked in self.walk.marked:
            if self._reaches(frame) and marked.frame == frame:
                yield from self._empty()
                self.anchor, self.latest, self.view = marked, (marked,), marked.view
                self.absent, self.last = [], frame

    def _reaches(self, frame: int) -> bool:
        return not self.stopped and frame in self.walk.course.order

    def shown(self, frame: int, recalled: Recalled) -> Recalled:
        """With earlier frames that were seen through this window, by weight; in a set without order those that a person
        marked, for their looks alone: masks that a net found itself spread its mistakes (nucleus of white blood cells,
        one prompt: mean DSC 0.71 with them, 0.86 without)."""
        if not self.walk.course.step:
            marked = [entry for entry, _ in recalled.memories if entry.prompted][:SHOWN_OF_SET]
            return replace(recalled, shown=tuple((entry, 1.0) for entry in marked), placed=False)
        near = [(t, weight) for t, weight in zip(self.latest, SHOWN_BEFORE, strict=False)]
        if self.anchor not in self.latest:
            near.append((self.anchor, SHOWN_MARKED ** (abs(frame - self.anchor.frame) - 1)))
        shown = tuple((t.entry, weight) for t, weight in near if t.entry is not None and t.view == self.view)
        return replace(recalled, shown=shown)

    def move(self, features: FeatureCache, view: View) -> None:
        """Look through another window from now on, and remember the last and the marked frame as seen through it."""
        self.view = view
        moved = self._seen_again(features, self.latest[0])
        self.anchor = moved if self.anchor is self.latest[0] else self._seen_again(features, self.anchor)
        self.latest = (moved,)

    def _seen_again(self, features: FeatureCache, tracked: Tracked) -> Tracked:
        """The same frame through the window that holds now; unchanged where its mask is not in there."""
        extent = FramePrompt(mask=tracked.logits > 0).extent_xy()
        if tracked.entry is None or extent is None or not self.view.holds(extent):
            return tracked
        seen = features(self.view, tracked.frame)
        decoded = features.engine.begin(seen, [self.view.move(FramePrompt(mask=tracked.logits > 0))])
        (entry,) = features.engine.remember(seen, decoded, tracked.frame, prompted=tracked.entry.prompted)
        self.bank = self.bank.with_other_view(entry)
        return replace(tracked, entry=entry, view=self.view)

    def judge(self, tracked: Tracked) -> Iterator[Tracked | Stop]:
        """Pass a frame on, hold it back, or end the walk."""
        walk, rule = self.walk, self.walk.stop or EndOfObject()
        absent = rule.absent(tracked.logits, tracked.object_score, _pixels(self.anchor))
        if walk.stop is not None or not absent:
            self.latest = (tracked, *self.latest)[: len(SHOWN_BEFORE)]
        tracked = replace(tracked, entry=None)
        if walk.stop is not None and absent:
            self.absent.append(tracked)
            if len(self.absent) >= walk.stop.patience:
                yield from self._empty()
                yield self._stop(f"object ended at {walk.place}={self.last}")
        else:
            yield from [*self.absent, tracked]
            self.absent, self.last = [], tracked.frame

    def through(self) -> Iterator[Tracked | Stop]:
        """The end of the way."""
        if self.stopped:
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


def _pixels(tracked: Tracked) -> int:
    return int(np.count_nonzero(tracked.logits > 0))


def _by_view(going: list[_Going]) -> list[tuple[View, list[_Going]]]:
    views: dict[View, list[_Going]] = {}
    for g in going:
        views.setdefault(g.view, []).append(g)
    return list(views.items())


def _next(frame: int, walk: Walk, count: int) -> list[int]:
    step = walk.course.step or 1
    return [f for f in range(frame + step, frame + step * count, step) if f in walk.course.order]
