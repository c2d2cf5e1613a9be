"""What a run found: a Track for each object, and the label map that they make together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from voxtrace.engine import NO_OBJECT_LOGIT
from voxtrace.errors import InputError, PromptError
from voxtrace.postprocess import label_dtype, settle_overlaps
from voxtrace.tracking import Stop, Tracked
from voxtrace.view import View
from voxtrace.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The part of a frame of (H, W) `shape` where an object is: logits (h, w) float32 around all that is > 0, from row
    `y`, column `x`. Outside it there is no object. Full frames of many objects would not fit into memory.
    """

    shape: tuple[int, int]
    y: int
    x: int
    logits: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray) -> Patch:
        """Cut (H, W) logits down to their positive part."""
        inside = logits > 0
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(rows):
            return cls(logits.shape, 0, 0, np.zeros((0, 0), np.float32))  # type: ignore[arg-type]
        y, x = rows[0], columns[0]
        found = logits[y : rows[-1] + 1, x : columns[-1] + 1].astype(np.float32)
        return cls(logits.shape, int(y), int(x), found)  # type: ignore[arg-type]

    def paste(self) -> np.ndarray:
        """(H, W) float32 logits of the frame."""
        frame = np.full(self.shape, NO_OBJECT_LOGIT, np.float32)
        h, w = self.logits.shape
        frame[self.y : self.y + h, self.x : self.x + w] = self.logits
        return frame


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a Track keeps of one frame: made at once of each frame that is followed, so that nothing more is kept."""

    frame: int
    patch: Patch
    confidence: float
    view: View

    @classmethod
    def of(cls, tracked: Tracked) -> Seen:
        """Drop the memory, and of the logits all that is not inside."""
        patch = Patch.of(tracked.logits)
        return cls(tracked.frame, patch, confidence(tracked.object_score, tracked.iou), tracked.view)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object through all frames that were looked at.

    confidence: {frame: sigmoid(object score) x expected IoU, 0..1}. prompted: the frames that a person marked.
    views: {frame: the window through which the net saw the object there}.
    """

    patches: Mapping[int, Patch]
    confidence: Mapping[int, float]
    stops: tuple[Stop, ...] = ()
    prompted: tuple[int, ...] = ()
    views: Mapping[int, View] = field(default_factory=dict)

    @classmethod
    def of(cls, seen: Sequence[Seen | Stop], prompted: Sequence[int]) -> Track:
        """Gather what is kept of what `begin` and `propagate` gave."""
        frames = sorted((s for s in seen if isinstance(s, Seen)), key=lambda s: s.frame)
        return cls(
            patches={s.frame: s.patch for s in frames},
            confidence={s.frame: s.confidence for s in frames},
            stops=tuple(s for s in seen if isinstance(s, Stop)),
            prompted=tuple(sorted(prompted)),
            views={s.frame: s.view for s in frames},
        )

    def logits(self, frame: int, shape: tuple[int, int]) -> np.ndarray:
        """(H, W) float32 logits of one frame."""
        patch = self.patches.get(frame)
        return np.full(shape, NO_OBJECT_LOGIT, np.float32) if patch is None else patch.paste()


def confidence(object_score: float, iou: float) -> float:
    """How likely the object is there, times how well the net expects to have drawn it: 0..1."""
    return float(iou / (1 + np.exp(-object_score)))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All objects of a session.

    names: {label: name}. tracks: {label: Track}. frames: one (H, W) label map a frame, along the session's axis.
    window: the grey window that the net saw the scan through, as text; "" where there is none.
    locked: labels of the objects whose voxels were not free.
    overlapping: masks may share voxels (the label map still holds the object with the larger logit).
    """

    names: Mapping[int, str]
    tracks: Mapping[int, Track]
    frames: Sequence[np.ndarray]
    axis: int = 0
    window: str = ""
    volume: Volume | None = None
    locked: frozenset[int] = frozenset()
    overlapping: bool = False

    @property
    def labels(self) -> np.ndarray:
        """(D, H, W) uint8 or uint16 in the scan's own voxel order, whatever the axis; 0 is no object."""
        if len({f.shape for f in self.frames}) > 1:
            raise InputError("the images differ in size, so there is no common label map; use result.frames")
        return np.moveaxis(np.asarray(self.frames), 0, self.axis)

    def as_volume(self) -> Volume:
        """The label map with the scan's geometry."""
        if self.volume is None:
            raise InputError("this session has no volume to take the geometry from; use result.labels")
        return self.volume.like(np.ascontiguousarray(self.labels))

    def mask(self, object: str | int) -> np.ndarray:
        """(D, H, W) bool of one object, by name or label."""
        label = self.label(object)
        if not self.overlapping:
            return self.labels == label
        masks = [self.frame_mask(label, index) for index in range(len(self.frames))]
        return np.moveaxis(np.stack(masks), 0, self.axis)

    def frame_mask(self, object: str | int, frame: int) -> np.ndarray:
        """(H, W) bool of one object on one frame."""
        label = self.label(object)
        if not self.overlapping:
            return self.frames[frame] == label
        labels = self.frames[frame]
        inside = self.tracks[label].logits(frame, labels.shape) > 0  # type: ignore[arg-type]
        return inside if label in self.locked else inside & ~np.isin(labels, list(self.locked))

    @property
    def confidence(self) -> dict[str, np.ndarray]:
        """{name: (F,) float32 of all frames}, NaN where the object was not looked for."""
        table = {name: np.full(len(self.frames), np.nan, np.float32) for name in self.names.values()}
        for label, track in self.tracks.items():
            for frame, value in track.confidence.items():
                table[self.names[label]][frame] = value
        return table

    @property
    def stops(self) -> dict[str, tuple[Stop, ...]]:
        """{name: how each walk of the object ended}."""
        return {self.names[label]: track.stops for label, track in self.tracks.items()}

    @property
    def prompted(self) -> dict[str, tuple[int, ...]]:
        """{name: the frames that a person marked}."""
        return {self.names[label]: track.prompted for label, track in self.tracks.items()}

    @property
    def views(self) -> dict[str, Mapping[int, View]]:
        """{name: {frame: the window through which the net saw the object}}."""
        return {self.names[label]: track.views for label, track in self.tracks.items()}

    def label(self, object: str | int) -> int:
        """The label of an object given by name or label. Raises PromptError for an unknown one."""
        for label, name in self.names.items():
            if object in (label, name):
                return label
        known = ", ".join(f"{label} ({name})" for label, name in self.names.items()) or "none"
        raise PromptError(f"there is no object {object!r} in this result; there are: {known}")


def frozen(result: Result, label: int, taken: Sequence[Track] = ()) -> Track:
    """The object's track with the voxels that it has in `result`, less those that locked tracks have `taken`, as
    certain as can be."""
    track = result.tracks[label]
    patches = {}
    for frame in track.patches:
        inside = result.frame_mask(label, frame)
        for other in taken:
            inside = inside & ~(other.logits(frame, inside.shape) > 0)  # type: ignore[arg-type]
        patches[frame] = Patch.of(np.where(inside, -NO_OBJECT_LOGIT, NO_OBJECT_LOGIT))
    return replace(track, patches=patches)


def draw(
    shapes: Sequence[tuple[int, int]], tracks: Mapping[int, Track], locked: Mapping[int, Track]
) -> Sequence[np.ndarray]:
    """The label map of every frame of these (H, W) shapes: one array (F, H, W) if they are equal, else a list.

    A voxel goes to a locked object, else to the one with the largest logit.
    """
    dtype = label_dtype([*tracks, *locked])
    alike = len(set(shapes)) == 1
    frames: Any = np.zeros((len(shapes), *shapes[0]), dtype) if alike else [np.zeros(shape, dtype) for shape in shapes]
    for frame in sorted({f for t in [*tracks.values(), *locked.values()] for f in t.patches}):
        free = {label: t.logits(frame, shapes[frame]) for label, t in tracks.items() if frame in t.patches}
        taken = {label: t.logits(frame, shapes[frame]) > 0 for label, t in locked.items() if frame in t.patches}
        frames[frame][...] = settle_overlaps(free, taken)
    return frames
