"""From marks to tracks: choose a window, begin on the marked frames, follow, look again if the window was too small."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voxtrace.errors import ModelError, PromptError
from voxtrace.marks import Object
from voxtrace.memory import Bank, MemoryPolicy
from voxtrace.prompts import NEGATIVE, FramePrompt
from voxtrace.result import Track
from voxtrace.tracking import (
    LEFT_VIEW,
    Course,
    EndOfObject,
    FeatureCache,
    Plan,
    Stop,
    Tracked,
    Walk,
    begin,
    propagate,
)
from voxtrace.view import View, Whole, grown, union, view_around

LOOKS = 4  # the first, and three more through ever larger windows while the object touches the border

Event = Tracked | Stop
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
        """Look for objects {label: object}, again through a larger window where one does not fit."""
        courses = {label: self._plan(o) for label, o in objects.items()}
        views = {label: self._view(o) for label, o in objects.items()}
        found: dict[int, Track] = {}
        for look in range(LOOKS):
            seen = self._look(objects, courses, views, look < LOOKS - 1, progress)
            fits = {label: o for label, o in objects.items() if not _left_view(seen[label])}
            found |= {label: Track.of(seen[label], list(o.marks.frames), views[label]) for label, o in fits.items()}
            objects = {label: o for label, o in objects.items() if label not in fits}
            if not objects:
                break
            views = {label: grown(views[label], self.shape) for label in objects}
        return found

    def _look(
        self,
        objects: Mapping[int, Object],
        courses: Mapping[int, list[Course]],
        views: Mapping[int, View],
        watch_border: bool,
        progress: Progress | None,
    ) -> dict[int, list[Event]]:
        """Begin all objects on their marked frames and follow them from there: {label: what was seen}."""
        follows = any(len(course.order) for label in objects for course in courses[label])
        seen: dict[int, list[Event]] = {label: [] for label in objects}
        for frame, view, prompts in _together(objects, views):
            for tracked in begin(self.features, frame, view, prompts, remember=follows):
                seen[tracked.object].append(tracked)
                if watch_border and view.cuts(tracked.logits > 0):
                    seen[tracked.object].append(Stop(tracked.object, frame, 0, frame, LEFT_VIEW))
        walks = [
            Walk(label, self._bank(seen[label]), course, views[label], self.route.stop, self.route.place, watch_border)
            for label in objects
            if not _left_view(seen[label])
            for course in courses[label]
        ]
        total, done = sum(len(walk.course.order) for walk in walks), 0
        for event in propagate(self.features, walks, self.memory):
            seen[event.object].append(event)
            done += isinstance(event, Tracked)
            if progress is not None:
                progress(done, total)
        return seen

    def _bank(self, begun: list[Event]) -> Bank:
        """Every walk of an object knows all frames on which it was marked, also those ahead."""
        entries = tuple(t.entry for t in begun if isinstance(t, Tracked) and t.entry is not None)
        return Bank(entries, num_frames=len(self.features.frames))

    def _plan(self, object: Object) -> list[Course]:
        for frame, prompt in object.marks.frames.items():
            if prompt.mask is None and (prompt.labels == NEGATIVE).all():
                raise PromptError(
                    f"{object.name!r} has only negative points at {self.route.place}={frame}, which do not say where "
                    "it is; add a positive point or box there, or correct the mask of a run"
                )
        num_frames, engine = len(self.features.frames), self.features.engine
        courses = self.route.plan(list(object.marks.frames), object.marks.limits, num_frames, self.route.edge)
        if not engine.follows and any(len(course.order) for course in courses):
            raise ModelError(
                f"{engine.name} segments single images and cannot follow an object through other frames; "
                "use a model that can, such as voxtrace-small, or give it one image"
            )
        return courses

    def _view(self, object: Object) -> View:
        """The window to see an object through: its marks tell how large it is, else a look at the whole frame does."""
        if self.zoom is None:
            return Whole()
        extent = object.marks.extent
        if object.marks.view is not None and (extent is None or object.marks.view.holds(extent)):
            return object.marks.view
        if extent is None:
            seen = [
                begin(self.features, frame, Whole(), {object.label: prompt}, remember=False)[0].logits > 0
                for frame, prompt in object.marks.frames.items()
            ]
            masks = [FramePrompt(mask=mask).extent_xy() for mask in seen]
            extent = union([mask for mask in masks if mask is not None])
        return view_around(extent, self.shape, self.zoom)


def _left_view(events: list[Event]) -> bool:
    return any(isinstance(event, Stop) and event.reason == LEFT_VIEW for event in events)


def _together(
    objects: Mapping[int, Object], views: Mapping[int, View]
) -> list[tuple[int, View, dict[int, FramePrompt]]]:
    """(frame, view, {label: prompt}): what can be decoded in one call, in the order of frames."""
    together: dict[tuple[int, View], dict[int, FramePrompt]] = {}
    for label, o in objects.items():
        for frame, prompt in o.marks.frames.items():
            together.setdefault((frame, views[label]), {})[label] = prompt
    return [(frame, view, prompts) for (frame, view), prompts in sorted(together.items(), key=lambda item: item[0][0])]
