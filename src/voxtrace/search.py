"""From marks to tracks: choose windows, begin on the marked frames, follow from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from voxtrace.courses import Course, Plan
from voxtrace.errors import ModelError
from voxtrace.feature_cache import FeatureCache
from voxtrace.marks import Object
from voxtrace.memory import Fifo, MemoryPolicy
from voxtrace.prompts import BOX_START, NEGATIVE, FramePrompt
from voxtrace.result import Trace, Track
from voxtrace.scratch import Spill
from voxtrace.tracking import LOOKS, EndOfObject, Tracked, Walk, begin, propagate
from voxtrace.view import Extent, View, Whole, grown, union, view_around

Progress = Callable[[int, int], None]  # frames followed, frames to follow at most; both count every object


@dataclass(frozen=True, slots=True)
class Route:
    """The way through a kind of input. plan: lays the walks of an object out. stop: when a walk ends before its time.
    place: what a frame is called. edge: what is at the end."""

    plan: Plan
    stop: EndOfObject | None = None
    place: str = "frame"
    edge: str = "edge of the scan"


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """How a session looks for its objects. shape: (H, W) of the frames; zoom: None to show whole frames."""

    features: FeatureCache
    route: Route
    memory: MemoryPolicy
    shape: tuple[int, int]
    zoom: float | None

    def __call__(self, objects: Mapping[int, Object], progress: Progress | None = None) -> dict[int, Track]:
        """Look for objects {label: object}: begin all on their marked frames and follow them from there."""
        courses = {label: self._plan(o) for label, o in objects.items()}
        follows = any(len(course.order) for of_one in courses.values() for course in of_one)
        marked = self._begin(objects, follows)
        stop = self.route.stop if self.features.engine.follows else None  # a told range is gone through to its ends
        walks = [
            Walk(label, marked[label], course, stop, self.route.place, self.zoom)
            for label in objects
            for course in courses[label]
        ]
        spill = Spill()
        traces = {label: Trace(spill) for label in objects}
        for label, trace in traces.items():
            for tracked in marked[label]:
                trace.add(tracked)
        total, done = sum(len(walk.course.order) for walk in walks), 0
        for event in propagate(self.features, walks, self.memory):
            traces[event.object].add(event)
            done += isinstance(event, Tracked)
            if progress is not None:
                progress(done, total)
        return {label: traces[label].track(o.marks.frames) for label, o in objects.items()}

    def _begin(self, objects: Mapping[int, Object], remember: bool) -> dict[int, list[Tracked]]:
        """Decode all marked frames, each through its window; again through a larger one where the mask is cut."""
        marked: dict[int, list[Tracked]] = {label: [] for label in objects}
        due = {(label, frame): view for label, o in objects.items() for frame, view in self._views(o).items()}
        for look in range(LOOKS):
            again = {}
            for frame, view, labels in _together(due):
                prompts = {label: objects[label].marks.frames[frame] for label in labels}
                for tracked in begin(self.features, frame, view, prompts, remember):
                    if look < LOOKS - 1 and view.cuts(tracked.logits > 0):
                        again[tracked.object, frame] = grown(view, self.shape)
                    else:
                        marked[tracked.object].append(tracked)
            due = again
        return marked

    def _plan(self, object: Object) -> list[Course]:
        num_frames, engine = len(self.features.frames), self.features.engine
        courses = self.route.plan(list(object.marks.frames), object.marks.limits, num_frames, self.route.edge)
        if not engine.follows and any(len(course.order) for course in courses):
            self._check_told(object)
        return courses

    def _check_told(self, object: Object) -> None:
        """A net of single images finds something on every frame: it must be told on which the object lies."""
        name = self.features.engine.name
        if not object.marks.limits:
            way = "" if self.route.place == "image" else ", or give a 3D box of all its slices (--box3d)"
            raise ModelError(
                f"{name} segments single images and cannot follow an object through other frames, and nothing says "
                f"how far {object.name!r} goes; use a model that can, such as voxtrace-small{way}"
            )
        if self.zoom is not None:
            raise ModelError(f"{name} is shown whole frames when it goes through several; leave zoom (--zoom) out")
        if not isinstance(self.memory, Fifo):
            raise ModelError(f"{name} has no memory that could be sorted; leave --memory out")

    def _views(self, object: Object) -> dict[int, View]:
        """{marked frame: the window to see it through}."""
        return {frame: self._view(object, frame, prompt) for frame, prompt in object.marks.frames.items()}

    def _view(self, object: Object, frame: int, prompt: FramePrompt) -> View:
        """The window of the run that is corrected if it holds every mark, else one around object and positive clicks,
        grown until it holds the negative ones."""
        extent, clicks = prompt.extent_xy(), prompt.labels < BOX_START
        given = [] if extent is None else [extent]
        marks = [*given, *_around(prompt.points_xy[clicks])]
        known = object.marks.views.get(frame)
        if known is not None and all(known.holds(mark) for mark in marks):
            return known
        if self.zoom is None:
            return Whole()
        if extent is None:  # clicks alone do not say how large it is
            (whole,) = begin(self.features, frame, Whole(), {object.label: prompt}, remember=False)
            extent = FramePrompt(mask=whole.logits > 0).extent_xy()
        inside = _around(prompt.points_xy[prompt.labels != NEGATIVE])
        view = view_around(union([extent, *inside]) if extent else None, self.shape, self.zoom)
        while not all(view.holds(mark) for mark in marks):
            view = grown(view, self.shape)
        return view


def _around(points_xy: np.ndarray) -> list[Extent]:
    """The one extent of (P, 2) points; nothing where there are none."""
    return [(*points_xy.min(0).tolist(), *points_xy.max(0).tolist())] if len(points_xy) else []  # type: ignore[list-item]


def _together(due: Mapping[tuple[int, int], View]) -> list[tuple[int, View, list[int]]]:
    """{(label, frame): view} -> (frame, view, labels): what can be decoded in one call, in the order of frames."""
    together: dict[tuple[int, View], list[int]] = {}
    for (label, frame), view in due.items():
        together.setdefault((frame, view), []).append(label)
    return sorted(((frame, view, labels) for (frame, view), labels in together.items()), key=lambda item: item[0])
