"""Sessions: mark objects, run, correct, run again. The whole program in one file.

    session = VolumeSession(engine, read("scan.nii.gz"))
    session.add(Box.on_slice(40, 100, 120, 160, 200), object="lesion")
    result = session.run()
    session.correct(Point(43, 130, 150, positive=False), object="lesion")
    result = session.run()

What a person said is a value, one for each object; a session holds the history of these values, so undo and redo only
move along it. A run looks for the objects whose marks changed since the last one and draws all of them together.
The sessions differ in what their frames are and in the way through them: a volume is walked both ways from its prompts,
a video onward, a set without order, an image not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from voxtrace.courses import plan, plan_nothing, plan_onward, plan_unordered
from voxtrace.engine import Engine
from voxtrace.errors import PromptError
from voxtrace.feature_cache import FeatureCache, FeatureStore
from voxtrace.frames import PictureFrames, VolumeFrames
from voxtrace.marks import History, Marks, Object
from voxtrace.memory import Fifo, MemoryPolicy, SelfSorting
from voxtrace.prompts import FramePrompt, Prompt, on_frames
from voxtrace.result import Result, Track, blank, draw, frozen
from voxtrace.search import Progress, Route, Search
from voxtrace.tracking import EndOfObject
from voxtrace.volume import Frames, Picture, Video, Volume
from voxtrace.windowing import Window

if TYPE_CHECKING:
    from typing_extensions import Self

OBJECT_ENDS = EndOfObject()
KEPT_TRACKS = 64  # found before, so that undo and redo need not look again

Zoom = float | Literal["auto"] | None
Overlap = Literal["settle", "keep"]


class Session:
    """What all sessions do. `frames` are looked at along `axis` of a scan of (D, H, W) `shape`.

    cache: where encoded frames are kept for later sessions and other processes; None: nowhere.
    """

    _sized = True  # whether the size of every frame is known before it is looked at

    def __init__(
        self,
        engine: Engine,
        frames: Frames,
        shape: tuple[int, int, int],
        route: Route,
        *,
        axis: int = 0,
        memory: MemoryPolicy | None = None,
        zoom: Zoom = "auto",
        overlap: Overlap = "settle",
        cache: FeatureStore | None = None,
    ) -> None:
        self.frames = frames
        self.shape = shape
        self.axis = axis
        self.overlap = overlap
        self.result: Result | None = None  # of the last run
        h, w = (size for a, size in enumerate(shape) if a != axis)
        self._frame_shape = h, w
        self._search = Search(
            FeatureCache(engine, frames, store=cache),
            route,
            memory=Fifo() if memory is None else memory,
            shape=self._frame_shape,
            zoom=engine.zoom if zoom == "auto" else zoom,
        )
        self._tracks: dict[Marks, Track] = {}
        self._history = History(route.place)
        self._drawn: frozenset[int] = frozenset()  # numbers of the objects that the last run drew

    # What a person does

    @property
    def objects(self) -> tuple[Object, ...]:
        """The objects as they are marked now."""
        return self._history.objects

    def add(self, prompts: Prompt | Iterable[Prompt], object: str | int = 1) -> Self:
        """Mark an object, known by name or label; an unknown one is new.

        PromptError, and nothing is added, where a prompt does not fit or a frame has negative points only.
        """
        self._history.mark(object, *self._on_frames(prompts))
        return self

    def correct(self, prompts: Prompt | Iterable[Prompt], object: str | int = 1) -> Self:
        """Mark what is wrong in the last run's mask: its frame becomes a prompted one that starts from that mask.

        A MaskPrompt says all of its frame: it takes the place of that mask and of what was marked there before.
        """
        return self._correct(object, *self._on_frames(prompts))

    def remove(self, object: str | int) -> Self:
        """Forget an object and its marks. Its label is not used again unless it is asked for by number."""
        found = self._history.free(object)
        self._history.change(tuple(o for o in self.objects if o is not found))
        return self

    def lock(self, object: str | int) -> Self:
        """Freeze an object as the last run shows it: it never gains or loses a voxel, and others are cut at it."""
        found = self._history.find(object)
        if self.result is None or found.number not in self._drawn:
            raise PromptError(f"{found.name!r} has no mask yet that could be locked; run first")
        if found.locked is None:
            taken = [o.locked for o in self.objects if o.locked is not None]
            self._history.replace(found, replace(found, locked=frozen(self.result, found.label, taken)))
        return self

    def unlock(self, object: str | int) -> Self:
        """Let an object change again. The next run shows what its marks give, as it did before it was locked; it is
        looked for again only if these marks were never run."""
        found = self._history.find(object)
        if found.locked is not None:
            self._history.replace(found, replace(found, locked=None))
        return self

    def undo(self) -> bool:
        """Take the last change of marks or locks back; False if there is none. Without limit."""
        return self._history.undo()

    def redo(self) -> bool:
        """Make the change again that was taken back last; False if there is none."""
        return self._history.redo()

    # What the program does

    def run(self, progress: Progress | None = None) -> Result:
        """Look for every free object whose marks are new, and draw all.

        Raises PromptError without any object, ModelError if there are frames to follow on and the model cannot.
        """
        if not self.objects:
            raise PromptError("no object is marked yet; add a prompt first")
        free = [o for o in self.objects if o.locked is None]
        changed = {o.label: o for o in free if o.marks not in self._tracks}
        canvas = self._canvas() if self._sized else None  # before the work: a full disk should not be told after it
        found = self._search(changed, progress)
        self._tracks |= {changed[label].marks: track for label, track in found.items()}
        self._forget_old_tracks()
        tracks = {o.label: self._tracks[o.marks] for o in free}
        locked = {o.label: o.locked for o in self.objects if o.locked is not None}
        self.result = Result(
            names={o.label: o.name for o in self.objects},
            tracks=tracks | locked,
            frames=draw(self._canvas() if canvas is None else canvas, tracks, locked),
            axis=self.axis,
            window=str(getattr(self.frames, "window", None) or ""),
            volume=self._volume(),
            locked=frozenset(locked),
            overlapping=self.overlap == "keep",
        )
        self._drawn = frozenset(o.number for o in self.objects)
        return self.result

    def _forget_old_tracks(self) -> None:
        current = {o.marks for o in self.objects}
        for marks in list(self._tracks)[:-KEPT_TRACKS]:
            if marks not in current:
                del self._tracks[marks]

    def _correct(self, object: str | int, frames: dict[int, FramePrompt], limits: tuple[range, ...]) -> Self:
        found = self._history.find(object)
        if self.result is None or found.number not in self._drawn:
            self._history.mark(object, frames, limits)
            return self
        given = {frame for frame, prompt in frames.items() if prompt.mask is not None}
        for frame, prompt in frames.items():
            if frame not in given and (mask := self.result.frame_mask(found.label, frame)).any():
                frames = {**frames, frame: replace(prompt, mask=mask)}
        views = self.result.tracks[found.label].views
        self._history.mark(object, frames, limits, {f: views[f] for f in frames if f in views}, given)
        return self

    # What the kinds of session differ in

    def _on_frames(self, prompts: Prompt | Iterable[Prompt]) -> tuple[dict[int, FramePrompt], tuple[range, ...]]:
        return on_frames(_listed(prompts), self.shape, self.axis)

    def _frame_shapes(self) -> list[tuple[int, int]]:
        return [self._frame_shape] * len(self.frames)

    def _canvas(self) -> Sequence[np.ndarray]:
        return blank(self._frame_shapes(), [o.label for o in self.objects])

    def _volume(self) -> Volume | None:
        return None


class ImageSession(Session):
    """One picture. Its prompts lie on z = 0."""

    def __init__(
        self,
        engine: Engine,
        picture: Picture,
        window: Window | None = None,
        *,
        zoom: Zoom = "auto",
        overlap: Overlap = "settle",
        cache: FeatureStore | None = None,
    ) -> None:
        frames = PictureFrames(picture, window)
        shape = (1, *picture.shape)
        super().__init__(engine, frames, shape, Route(plan_nothing), zoom=zoom, overlap=overlap, cache=cache)


class VolumeSession(Session):
    """A scan, slice by slice along `axis`, both ways from the prompts; walks between two prompts meet halfway."""

    def __init__(
        self,
        engine: Engine,
        volume: Volume,
        axis: int = 0,
        window: Window | None = None,
        *,
        memory: MemoryPolicy | None = None,
        stop: EndOfObject | None = OBJECT_ENDS,
        zoom: Zoom = "auto",
        overlap: Overlap = "settle",
        cache: FeatureStore | None = None,
    ) -> None:
        if axis not in (0, 1, 2):
            raise PromptError(f"axis {axis} does not exist; a scan has the axes 0 (z), 1 (y) and 2 (x)")
        frames = VolumeFrames(volume, window, axis)
        route = Route(plan, stop, place="zyx"[axis])
        super().__init__(
            engine, frames, volume.shape, route, axis=axis, memory=memory, zoom=zoom, overlap=overlap, cache=cache
        )
        self.volume = volume

    def _volume(self) -> Volume | None:
        return self.volume


class VideoSession(Session):
    """A video, onward from the first prompt; with `backward` also to its beginning, and within boxes of several frames
    over all of these. An object that is out of sight may come back, so nothing ends a walk before the video's end,
    unless `stop` says so."""

    def __init__(
        self,
        engine: Engine,
        video: Video,
        *,
        backward: bool = False,
        memory: MemoryPolicy | None = None,
        stop: EndOfObject | None = None,
        zoom: Zoom = "auto",
        overlap: Overlap = "settle",
        cache: FeatureStore | None = None,
    ) -> None:
        route = Route(plan if backward else plan_onward, stop, "frame", "edge of the video")
        frames = video.frames
        super().__init__(engine, frames, video.shape, route, memory=memory, zoom=zoom, overlap=overlap, cache=cache)


class SetSession(Session):
    """A set of images without order, of any sizes: an object marked on one image is found on all others."""

    _sized = False

    def __init__(
        self,
        engine: Engine,
        images: Frames,
        *,
        memory: MemoryPolicy | None = None,
        overlap: Overlap = "settle",
        cache: FeatureStore | None = None,
    ) -> None:
        route = Route(plan_unordered, None, "image", "end of the set")
        shape = (len(images), *images[0].shape[:2])
        # Where the object lies on an image without prompts is not known, so no window can be cut out.
        memory = memory or SelfSorting()
        super().__init__(engine, images, shape, route, memory=memory, zoom=None, overlap=overlap, cache=cache)

    def add(self, prompts: Prompt | Iterable[Prompt], object: str | int = 1, image: int = 0) -> Self:
        """Mark an object on one image (counted from 0). The prompts are those of a picture: z = 0."""
        self._history.mark(object, *self._on_image(prompts, image))
        return self

    def correct(self, prompts: Prompt | Iterable[Prompt], object: str | int = 1, image: int = 0) -> Self:
        """Mark what is wrong in the last run's mask of one image; the prompts are those of a picture: z = 0."""
        return self._correct(object, *self._on_image(prompts, image))

    def _on_image(
        self, prompts: Prompt | Iterable[Prompt], image: int
    ) -> tuple[dict[int, FramePrompt], tuple[range, ...]]:
        if not 0 <= image < len(self.frames):
            raise PromptError(f"image {image} is not in the set; it has images 0..{len(self.frames) - 1}")
        frames, _ = on_frames(_listed(prompts), (1, *self.frames[image].shape[:2]))
        return {image + z: prompt for z, prompt in frames.items()}, ()

    def _frame_shapes(self) -> list[tuple[int, int]]:
        return [self._search.features.shapes[image] for image in range(len(self.frames))]


def _listed(prompts: Prompt | Iterable[Prompt]) -> list[Prompt]:
    return list(prompts) if isinstance(prompts, Iterable) else [prompts]
