"""What a person marks, and the only place where (z, y, x) voxels become the (x, y) points a net is asked with.

Every prompt speaks of the whole scan: (z, y, x) voxels counted from 0 in the file's own order. A picture is a scan
with one slice, z = 0; a video's z is the frame. Boxes are half-open. `on_frames` sorts prompts by the frame they lie
on, for slices taken along any axis, and gives one FramePrompt a frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from voxtrace.errors import PromptError
from voxtrace.mapped import slabs

NEGATIVE, POSITIVE, BOX_START, BOX_STOP = 0, 1, 2, 3  # SAM's point labels
RECIST_WIDTH = 0.72  # short axis / long axis of an average lesion; a RECIST line gives the long one only
SCRIBBLE_POINTS = 8


@dataclass(frozen=True, slots=True)
class Point:
    """A click on a voxel's centre; a negative one says that the object is not there."""

    z: float
    y: float
    x: float
    positive: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box [z0, z1) x [y0, y1) x [x0, x1). One voxel thick along the session's axis: a box on a frame.
    Thicker: its middle frame is prompted and the object is not looked for outside the range, or outside the ranges of
    several such boxes together."""

    z0: float
    y0: float
    x0: float
    z1: float
    y1: float
    x1: float

    @classmethod
    def on_slice(cls, z: int, y0: float, x0: float, y1: float, x1: float) -> Box:
        """A box drawn on slice z (axis 0)."""
        return cls(z, y0, x0, z + 1, y1, x1)


@dataclass(frozen=True, slots=True, eq=False)
class Scribble:
    """Voxels painted through (N, 3) zyx; positive inside the object, negative outside."""

    voxels_zyx: np.ndarray
    positive: bool = True

    @classmethod
    def from_mask(cls, mask: np.ndarray, positive: bool = True) -> Scribble:
        """(D, H, W) or (H, W) array; non-zero voxels are the scribble."""
        parts = slabs(mask if mask.ndim == 3 else mask[None])
        return cls(np.concatenate([np.argwhere(part) + np.array([start, 0, 0]) for start, part in parts]), positive)


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt:
    """A mask known on some frames: (D, H, W), or (H, W) for a picture; above 0 is the object. Each frame with a
    voxel is prompted."""

    mask: np.ndarray


@dataclass(frozen=True, slots=True)
class Recist:
    """A lesion's longest diameter drawn on one frame, from (z, y0, x0) to (z, y1, x1)."""

    z: float
    y0: float
    x0: float
    y1: float
    x1: float


Prompt = Point | Box | Scribble | MaskPrompt | Recist


@dataclass(frozen=True, slots=True, eq=False)
class FramePrompt:
    """All prompts of one object on one frame, in that frame's pixels, as a net takes them.

    points_xy: (P, 2) float32, (x, y), 0 = the first pixel's left/top edge; pixel centres are at +0.5.
    labels: (P,) int32, 0 negative, 1 positive, 2 and 3 the box's corners (first two if there is a box).
    mask: (H, W) bool, or None.
    """

    points_xy: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    mask: np.ndarray | None = None

    def joined(self, other: FramePrompt) -> FramePrompt:
        """Both prompts' marks together; box corners first, the later box and mask winning."""
        own = self if not other.has_box else self.without_box()
        points = np.concatenate([own.points_xy, other.points_xy])
        labels = np.concatenate([own.labels, other.labels])
        order = np.argsort(labels < BOX_START, kind="stable")
        return FramePrompt(points[order], labels[order], other.mask if other.mask is not None else self.mask)

    @property
    def has_box(self) -> bool:
        """Whether a box is among the marks."""
        return bool((self.labels >= BOX_START).any())

    def without_box(self) -> FramePrompt:
        """The same without box corners."""
        keep = self.labels < BOX_START
        return replace(self, points_xy=self.points_xy[keep], labels=self.labels[keep])

    def extent_xy(self) -> tuple[float, float, float, float] | None:
        """(x0, y0, x1, y1) that box and mask span, else None: points alone do not tell how large the object is."""
        spans = [self.points_xy[self.labels >= BOX_START]]
        if self.mask is not None and self.mask.any():
            rows, columns = np.nonzero(self.mask)
            spans.append(np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], np.float32))
        corners = np.concatenate(spans)
        return None if not len(corners) else (*corners.min(0).tolist(), *corners.max(0).tolist())  # type: ignore[return-value]


def on_frames(
    prompts: Iterable[Prompt], shape: tuple[int, int, int], axis: int = 0
) -> tuple[dict[int, FramePrompt], tuple[range, ...]]:
    """Sort one object's prompts by frame along `axis` of a scan of `shape` (D, H, W).

    Returns {frame: FramePrompt} and the ranges of frames in which the object may lie: one for each 3D box, together
    all that is told; none without such a box, when it may lie on any frame.
    Raises PromptError for a prompt outside the scan, inverted or of zero size.
    """
    frames: dict[int, FramePrompt] = {}
    limits: list[range] = []
    for prompt in prompts:
        for frame, part in _split(prompt, shape, axis):
            frames[frame] = frames[frame].joined(part) if frame in frames else part
        if isinstance(prompt, Box) and _thickness(prompt, axis) > 1:
            start, stop = _corners(prompt)
            limits.append(range(int(start[axis]), int(np.ceil(stop[axis]))))
    return frames, tuple(limits)


def _split(prompt: Prompt, shape: tuple[int, int, int], axis: int) -> list[tuple[int, FramePrompt]]:
    match prompt:
        case Point():
            voxel = _inside("point", (prompt.z, prompt.y, prompt.x), shape)
            return [(round(voxel[axis]), _points([voxel], [int(prompt.positive)], axis))]
        case Box():
            return [_box(prompt, shape, axis)]
        case Recist():
            return [_recist(prompt, shape, axis)]
        case Scribble():
            return _scribble(prompt, shape, axis)
        case MaskPrompt():
            return _mask(prompt, shape, axis)
    raise PromptError(f"{type(prompt).__name__} is not a prompt; use Point, Box, Scribble, MaskPrompt or Recist")


def _points(voxels_zyx: Sequence[Sequence[float]], labels: Sequence[int], axis: int) -> FramePrompt:
    """Voxel centres -> frame pixels: the frame's axis drops out, the other two are (row, column)."""
    rows_columns = np.delete(np.asarray(voxels_zyx, np.float32), axis, axis=1)
    return FramePrompt(rows_columns[:, ::-1] + np.float32(0.5), np.asarray(labels, np.int32))


def _inside(name: str, voxel: Sequence[float], shape: tuple[int, int, int]) -> tuple[float, ...]:
    for letter, value, size in zip("zyx", voxel, shape, strict=True):
        if not np.isfinite(value) or not 0 <= round(value) < size:
            raise PromptError(
                f"{name} {letter}={value:g} is outside the scan (0..{size - 1}); prompts are (z, y, x) voxels, not mm"
            )
    return tuple(float(v) for v in voxel)


def _corners(box: Box) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    return (box.z0, box.y0, box.x0), (box.z1, box.y1, box.x1)


def _thickness(box: Box, axis: int) -> float:
    start, stop = _corners(box)
    return stop[axis] - start[axis]


def _box(box: Box, shape: tuple[int, int, int], axis: int) -> tuple[int, FramePrompt]:
    start, stop = _corners(box)
    for letter, low, high, size in zip("zyx", start, stop, shape, strict=True):
        if not (np.isfinite(low) and np.isfinite(high)) or high <= low:
            raise PromptError(
                f"box {letter}={low:g}..{high:g} has no size; boxes are half-open, the second corner must be larger"
            )
        if low < 0 or high > size:
            raise PromptError(
                f"box {letter}={low:g}..{high:g} is outside the scan (0..{size}); prompts are (z, y, x) voxels, not mm"
            )
    frame = int((start[axis] + stop[axis] - 1) // 2)
    corners = np.delete(np.array([start, stop], np.float32), axis, axis=1)[:, ::-1]
    return frame, FramePrompt(np.ascontiguousarray(corners), np.array([BOX_START, BOX_STOP], np.int32))


def _recist(line: Recist, shape: tuple[int, int, int], axis: int) -> tuple[int, FramePrompt]:
    """The box of the ellipse whose long axis is the line, and the line's centre as a click."""
    if axis != 0:
        raise PromptError(f"a RECIST line lies on a slice of axis 0; this session walks along axis {axis}")
    ends = np.array(
        [_inside("RECIST line", (line.z, y, x), shape) for y, x in ((line.y0, line.x0), (line.y1, line.x1))]
    )
    start, stop = ends[:, 1:] + 0.5
    if np.allclose(start, stop):
        raise PromptError(f"the RECIST line on z={line.z:g} has no length: both ends are at {line.y0:g},{line.x0:g}")
    along = (stop - start) / 2
    across = RECIST_WIDTH * along[::-1]
    half = np.maximum(np.hypot(along, across), 0.5)
    centre = (start + stop) / 2
    box = np.clip([centre - half, centre + half], 0, shape[1:])
    points = np.array([box[0], box[1], centre], np.float32)[:, ::-1]
    return round(line.z), FramePrompt(np.ascontiguousarray(points), np.array([BOX_START, BOX_STOP, POSITIVE], np.int32))


def _scribble(scribble: Scribble, shape: tuple[int, int, int], axis: int) -> list[tuple[int, FramePrompt]]:
    voxels = np.asarray(scribble.voxels_zyx, float).reshape(-1, 3)
    if not len(voxels):
        raise PromptError("the scribble has no voxel; draw at least one")
    for voxel in (voxels.min(0), voxels.max(0)):
        _inside("scribble", voxel, shape)
    parts = []
    for frame in np.unique(voxels[:, axis].round().astype(int)):
        chosen = spread(voxels[voxels[:, axis].round() == frame], SCRIBBLE_POINTS)
        parts.append((int(frame), _points(chosen.tolist(), [int(scribble.positive)] * len(chosen), axis)))
    return parts


def spread(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of (N, k) points, each the farthest from those before; starts at the one nearest the mean."""
    if len(points) <= count:
        return points
    first = int(np.linalg.norm(points - points.mean(0), axis=1).argmin())
    chosen, nearest = [first], np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < count and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]


def _mask(prompt: MaskPrompt, shape: tuple[int, int, int], axis: int) -> list[tuple[int, FramePrompt]]:
    mask = np.asarray(prompt.mask)
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.shape != shape:
        raise PromptError(f"the mask prompt has shape {mask.shape}, the scan {shape}; both must lie on the same voxels")
    found = []
    for start, part in slabs(np.moveaxis(mask, axis, 0)):
        inside = part > 0
        found += [(start + int(n), FramePrompt(mask=inside[n].copy())) for n in np.flatnonzero(inside.any(axis=(1, 2)))]
    if not found:
        raise PromptError("the mask prompt is empty: no voxel is above 0")
    return found
