"""What a run found: a Track for each object, and the label map that they make together."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from voxtrace.engine import NO_OBJECT_LOGIT
from voxtrace.errors import InputError, PromptError
from voxtrace.mapped import let_go
from voxtrace.patches import ByFrame, Patch, PatchWriter
from voxtrace.postprocess import label_dtype, settle_overlaps
from voxtrace.scratch import Spill, contiguous, zeros
from voxtrace.tracking import Stop, Tracked
from voxtrace.view import View
from voxtrace.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object through all frames that were looked at.

    patches: read from a scratch file when asked for, where they are many; memory hardly grows with the
    number of frames. confidence: {frame: sigmoid(object score) x expected IoU, 0..1}. prompted: the
    frames that a person marked. views: {frame: the window through which the net saw the object there}.
    """

    patches: Mapping[int, Patch]
    confidence: Mapping[int, float]
    stops: tuple[Stop, ...] = ()
    prompted: tuple[int, ...] = ()
    views: Mapping[int, View] = field(default_factory=dict)

    def logits(self, frame: int, shape: tuple[int, int]) -> np.ndarray:
        """(H, W) float32 logits of one frame."""
        patch = self.patches.get(frame)
        return np.full(shape, NO_OBJECT_LOGIT, np.float32) if patch is None else patch.paste()


class Trace:
    """A Track under way: keeps of each frame what a Track needs, at once, so that nothing more is held.

    spill: where the patches go.
    """

    def __init__(self, spill: Spill) -> None:
        self._patches = PatchWriter(spill)
        self._confidence = array("d")
        self._views: list[View] = []
        self._stops: list[Stop] = []

    def add(self, event: Tracked | Stop) -> None:
        """What `begin` or `propagate` gave. Drops the memory, and of the logits all that is not inside."""
        if isinstance(event, Stop):
            self._stops.append(event)
            return
        self._patches.add(event.frame, Patch.of(event.logits))
        self._confidence.append(confidence(event.object_score, event.iou))
        self._views.append(event.view)

    def track(self, prompted: Iterable[int]) -> Track:
        """All that was added."""
        patches, order = self._patches.patches(), self._patches.order()
        frames = np.fromiter(patches, np.int64, len(patches))
        confidences, views = np.array(self._confidence)[order], [self._views[n] for n in order]
        return Track(
            patches=patches,
            confidence=ByFrame(frames, lambda n: float(confidences[n])),
            stops=tuple(self._stops),
            prompted=tuple(sorted(prompted)),
            views=ByFrame(frames, lambda n: views[n]),
        )


def confidence(object_score: float, iou: float) -> float:
    """How likely the object is there, times how well the net expects to have drawn it: 0..1."""
    return float(iou / (1 + np.exp(-object_score)))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All objects of a session.

    names: {label: name}. tracks: {label: Track}. frames: one (H, W) label map a frame, along the session's axis; beyond
    16 MiB they lie in a scratch file, mapped, that lives as long as they do (voxtrace.scratch, voxtrace.mapped).
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
        """(D, H, W) uint8 or uint16 in the scan's own voxel order, whatever the axis; 0 is no object.

        No copy: mapped where `frames` are, and to be gone through with `voxtrace.mapped.slabs` where it is large.
        """
        if isinstance(self.frames, np.ndarray):
            return np.moveaxis(self.frames, 0, self.axis)
        if len({f.shape for f in self.frames}) > 1:
            raise InputError("the images differ in size, so there is no common label map; use result.frames")
        return np.moveaxis(np.asarray(self.frames), 0, self.axis)

    def as_volume(self) -> Volume:
        """The label map with the scan's geometry."""
        if self.volume is None:
            raise InputError("this session has no volume to take the geometry from; use result.labels")
        return self.volume.like(contiguous(self.labels))

    def mask(self, object: str | int) -> np.ndarray:
        """(D, H, W) bool of one object, by name or label; beyond 16 MiB mapped, as `frames`."""
        label = self.label(object)
        if len({f.shape for f in self.frames}) > 1:
            raise InputError("the images differ in size, so there is no common mask; use result.frame_mask")
        masks = zeros((len(self.frames), *self.frames[0].shape), bool)
        for index in range(len(masks)):
            masks[index] = self.frame_mask(label, index)
            let_go(masks)
        return np.moveaxis(masks, 0, self.axis)

    def frame_mask(self, object: str | int, frame: int) -> np.ndarray:
        """(H, W) bool of one object on one frame."""
        label = self.label(object)
        labels = self.frames[frame]
        if self.overlapping:
            inside = self.tracks[label].logits(frame, labels.shape) > 0  # type: ignore[arg-type]
            mask = inside if label in self.locked else inside & ~np.isin(labels, list(self.locked))
        else:
            mask = labels == label
        let_go(labels)
        return mask

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
    writer = PatchWriter(Spill())
    for frame in track.patches:
        inside = result.frame_mask(label, frame)
        for other in taken:
            inside = inside & ~(other.logits(frame, inside.shape) > 0)  # type: ignore[arg-type]
        writer.add(frame, Patch.of(np.where(inside, -NO_OBJECT_LOGIT, NO_OBJECT_LOGIT)))
    return replace(track, patches=writer.patches())


def blank(shapes: Sequence[tuple[int, int]], labels: list[int]) -> Sequence[np.ndarray]:
    """An empty label map of every frame of these (H, W) shapes, wide enough for `labels`: one array (F, H, W) if they
    are equal, else a list. Large ones lie in one scratch file. Raises OutputError where there is no room for it."""
    dtype = label_dtype(labels)
    if len(set(shapes)) == 1:
        return zeros((len(shapes), *shapes[0]), dtype)  # type: ignore[return-value]
    ends = np.cumsum([h * w for h, w in shapes])
    flat = zeros((int(ends[-1]),), dtype)
    return [flat[end - h * w : end].reshape(h, w) for end, (h, w) in zip(ends.tolist(), shapes, strict=True)]


def draw(
    frames: Sequence[np.ndarray], tracks: Mapping[int, Track], locked: Mapping[int, Track]
) -> Sequence[np.ndarray]:
    """Draw all tracks on empty label maps (`blank`), and give them back.

    A voxel goes to a locked object, else to the one with the largest logit.
    """
    for frame in sorted({f for t in [*tracks.values(), *locked.values()] for f in t.patches}):
        shape: Any = frames[frame].shape
        free = {label: t.logits(frame, shape) for label, t in tracks.items() if frame in t.patches}
        taken = {label: t.logits(frame, shape) > 0 for label, t in locked.items() if frame in t.patches}
        frames[frame][...] = settle_overlaps(free, taken)
        let_go(frames[frame])
    return frames
