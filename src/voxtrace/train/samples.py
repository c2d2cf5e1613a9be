"""Training clips: one object of one case, seen through the window a session would cut around a person's prompt.

A clip is T frames of 256 x 256. Pictures give clips of one, or of a made-up movement; volumes are walked along any
axis, either way, past the object's end, so that a net learns when to stop.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from voxtrace.errors import InputError
from voxtrace.train import augment
from voxtrace.train.augment import Strength
from voxtrace.train.cases import HIGH_PERCENTILES, LOW_PERCENTILES, LabelledObject, LoadedCase
from voxtrace.train.synth import SynthPool

WINDOW_LEAST = 32  # pixels; as the session's zoom
CT_WINDOWS_HU = {  # level, width
    "soft": (40.0, 400.0),
    "liver": (60.0, 200.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "wide": (200.0, 2400.0),
}
CT_SHARES = (0.6, 0.1, 0.12, 0.1, 0.08)
VISIBLE_PIXELS = 20  # the object must have so many on the prompted frame of the clip
ATTEMPTS = 30


@dataclass(frozen=True, slots=True)
class Options:
    """What is drawn and how it is framed.

    images, volumes, synthetic: shares of clips of real pictures, of real volumes and videos, and of made-up cases.
    zoom: the window's side as a multiple of the box's larger side, drawn uniformly; whole_frame: share of clips that
    show the whole frame, squashed to a square; box_jitter: how far a person's box is off, as a share of its size.
    ends: share of volume clips started so that they run past the object's end, where the scan allows it.
    still: share of made-up movements from pictures that neither fade out nor leave the window.
    """

    size: int = 256
    images: float = 0.55
    volumes: float = 0.30
    synthetic: float = 0.15
    zoom: tuple[float, float] = (1.6, 3.0)
    whole_frame: float = 0.25
    box_jitter: float = 0.10
    ends: float = 0.65
    still: float = 0.5
    other_axes: float = 0.3
    part: float = 0.7
    union: float = 0.15
    strength: Strength = field(default_factory=Strength)
    set_weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """images (T, 3, S, S) uint8, masks (T, S, S) uint8 {0, 1}; the mask of frame 0 is never empty.

    meta: set, case, kind of object, axis, and the frames' numbers in the case in the order shown.
    """

    images: np.ndarray
    masks: np.ndarray
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """images (B, T, 3, S, S) uint8 and masks (B, T, S, S) uint8 tensors; `metas` holds one entry a clip."""

    images: torch.Tensor
    masks: torch.Tensor
    metas: list[dict[str, Any]]


@dataclass(slots=True)
class Sampler:
    """Draws clips from loaded and synthetic cases; the same seed and batch number give the same batch anywhere.

    clip_length: frames of a clip, or the lengths to choose from, one for each batch.
    refresh: clips after which the window of synthetic cases moves on by one volume and one picture.
    """

    loaded: Sequence[LoadedCase]
    synth: SynthPool | None = None
    seed: int = 0
    clip_length: int | Sequence[int] = 1
    options: Options = field(default_factory=Options)
    refresh: int = 128
    _drawn: int = field(default=0, init=False)
    _groups: list[dict[str, list[LoadedCase]]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.loaded and self.synth is None:
            raise InputError("a sampler needs at least one loaded case or a pool of synthetic ones")
        self._groups = _by_set(self.loaded)

    def draw(self) -> Clip:
        """The next clip of a stream of its own."""
        rng = np.random.default_rng([self.seed, 1, self._drawn])
        self._drawn += 1
        return self.clip(rng, self._length(rng), self._drawn)

    def batch(self, number: int, batch_size: int) -> Batch:
        """Batch `number`; its clips share one length."""
        rng = np.random.default_rng([self.seed, 2, number])
        length = self._length(rng)
        clips = [self.clip(rng, length, number * batch_size + index) for index in range(batch_size)]
        images, masks = np.stack([c.images for c in clips]), np.stack([c.masks for c in clips])
        return Batch(torch.from_numpy(images), torch.from_numpy(masks), [clip.meta for clip in clips])

    def batches(self, batch_size: int, workers: int = 2, start: int = 0, stop: int = 2**31) -> Iterator[Batch]:
        """Batches start, start + 1, ... in order, made ahead in `workers` processes (0: in this one)."""
        if not workers:
            yield from (self.batch(number, batch_size) for number in range(start, stop))
            return
        loader = torch.utils.data.DataLoader(
            _Numbered(self, batch_size, _shared_memory_is_large()),
            batch_size=None,
            sampler=range(start, stop),
            num_workers=workers,
            prefetch_factor=4,
            collate_fn=_same,
            worker_init_fn=_one_thread,
            multiprocessing_context="fork",
        )
        for images, masks, metas in loader:
            yield Batch(torch.as_tensor(images), torch.as_tensor(masks), metas)

    def clip(self, rng: np.random.Generator, length: int, position: int = 0) -> Clip:
        """A clip of `length` frames; `position` says how far the window of synthetic cases has moved."""
        for _ in range(ATTEMPTS):
            case = self._case(rng, position)
            clip = cut_clip(case, rng, length, self.options)
            if clip is not None:
                return clip
        raise InputError(f"{ATTEMPTS} attempts gave no clip with a visible object, the last from case {case.id}")

    def _length(self, rng: np.random.Generator) -> int:
        return self.clip_length if isinstance(self.clip_length, int) else int(rng.choice(list(self.clip_length)))

    def _case(self, rng: np.random.Generator, position: int) -> LoadedCase:
        o = self.options
        groups = self._groups
        shares = np.array(
            [o.images * bool(groups[0]), o.volumes * bool(groups[1]), o.synthetic * (self.synth is not None)]
        )
        which = int(rng.choice(3, p=shares / shares.sum()))
        if which == 2:
            assert self.synth is not None
            return self.synth.near(position // self.refresh, rng, flat=rng.random() < 0.35)
        sets = groups[which]
        weights = np.array([np.sqrt(len(sets[name])) * o.set_weights.get(name, 1.0) for name in sets])
        members = sets[list(sets)[int(rng.choice(len(weights), p=weights / weights.sum()))]]
        return members[int(rng.integers(len(members)))]


def cut_clip(case: LoadedCase, rng: np.random.Generator, length: int, options: Options) -> Clip | None:
    """One random clip of a random object of `case`; None where the draw shows nothing of it on the first frame."""
    target = _object(case, rng, options)
    axis = _axis(case, rng, options)
    order = _walk(case, target, axis, rng, length, options)
    if order is None:
        return None
    spot = target.on_frame(order[0], axis)
    assert spot is not None
    box = _box_of(*spot)
    shape = tuple(s for a, s in enumerate(case.frames.shape[:3]) if a != axis)
    window = _window(box, shape, rng, options)  # type: ignore[arg-type]
    images, masks = _rendered(case, target, axis, order, window, box, rng, options)
    if masks[0].sum() < VISIBLE_PIXELS:
        return None
    meta = {"set": case.set, "case": case.id, "object": target.kind, "axis": axis, "frames": order}
    return Clip(images, masks, meta)


def _object(case: LoadedCase, rng: np.random.Generator, options: Options) -> LabelledObject:
    """All of a label, one piece of it, or several labels at once, as far as the case has them."""
    draw = rng.random()
    if "union" in case.objects and draw < options.union:
        kind = "union"
    elif "part" in case.objects and rng.random() < options.part * (1.0 if case.kind == "image" else 0.6):
        kind = "part"
    else:
        kind = "whole"
    choices = case.objects[kind]
    return choices[int(rng.integers(len(choices)))]


def _axis(case: LoadedCase, rng: np.random.Generator, options: Options) -> int:
    """Mostly z; also y or x where voxels are not too flat for such a view to make sense."""
    thin = case.kind == "volume" and max(case.spacing) <= 3.0 * min(case.spacing) and min(case.frames.shape[:3]) >= 20
    return int(rng.integers(1, 3)) if thin and rng.random() < options.other_axes else 0


def _walk(
    case: LoadedCase, target: LabelledObject, axis: int, rng: np.random.Generator, length: int, options: Options
) -> list[int] | None:
    """Frame numbers of a clip that starts where the object is; often it runs past the object's end."""
    areas = target.areas(axis)
    good = target.frames(axis)[0] + np.flatnonzero(areas >= max(6, 0.02 * areas.max()))
    track = _track(case, target, axis)
    starts = [track.index(int(f)) for f in good if int(f) in track]
    if not starts:
        return None
    if len(track) == 1:
        return [track[0]] * length
    step = int(rng.choice([-1, 1]))
    if (
        case.kind == "volume"
        and len(track) > 40
        and case.spacing[axis] <= 1.6 * min(case.spacing)
        and rng.random() < 0.4
    ):
        step *= 2
    reach = [s for s in starts if 0 <= s + step * (length - 1) < len(track)] or starts
    place = reach[int(rng.integers(len(reach)))]
    if rng.random() < options.ends:
        last = starts[-1] if step > 0 else starts[0]
        leaving = [s for s in reach if abs(last - s) < abs(step) * (length - 1)]
        place = leaving[int(rng.integers(len(leaving)))] if leaving else place
    return [track[_bounced(place + step * t, len(track))] for t in range(length)]


def _track(case: LoadedCase, target: LabelledObject, axis: int) -> list[int]:
    """The frames whose labels can be trusted. Where a video is labelled on a few frames only, not every object is on
    each of them (cine MR: the muscle in one phase only), so a missing label does not say that the object is gone."""
    if axis or len(case.labelled) == len(case.frames):
        return list(range(case.frames.shape[axis]))
    held = set((target.frames()[0] + np.flatnonzero(target.areas())).tolist())
    return [index for index in case.labelled if index in held]


def _bounced(position: int, count: int) -> int:
    """Reflect a walk that reaches the scan's end, the end frame not shown twice."""
    position = position % (2 * count - 2)
    return position if position < count else 2 * count - 2 - position


Rectangle = tuple[float, float, float, float]  # y0, x0, y1, x1, half-open


def _box_of(first: tuple[int, int], patch: np.ndarray) -> Rectangle:
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    y, x = first
    return float(y + rows[0]), float(x + columns[0]), float(y + rows[-1] + 1), float(x + columns[-1] + 1)


def _window(box: Rectangle, shape: tuple[int, int], rng: np.random.Generator, options: Options) -> Rectangle:
    """The part of a frame (H, W) that the net sees: around a sloppy person's box, or all of it."""
    if rng.random() < options.whole_frame:
        return 0.0, 0.0, float(shape[0]), float(shape[1])
    height, width = box[2] - box[0], box[3] - box[1]
    off = rng.uniform(-1, 1, 4) * options.box_jitter * np.array([height, width, height, width])
    y0, x0, y1, x1 = np.array(box) + off
    side = max(float(rng.uniform(*options.zoom) * max(y1 - y0, x1 - x0)), float(WINDOW_LEAST))
    top, left = (_inside((a + b - side) / 2, side, full) for a, b, full in ((y0, y1, shape[0]), (x0, x1, shape[1])))
    return top, left, top + side, left + side


def _inside(start: float, side: float, full: int) -> float:
    """Shift a window into the frame; one larger than the frame covers it, and zeros fill the rest."""
    low, high = sorted((0.0, full - side))
    return min(max(start, low), high)


def _rendered(
    case: LoadedCase,
    target: LabelledObject,
    axis: int,
    order: list[int],
    window: Rectangle,
    box: Rectangle,
    rng: np.random.Generator,
    options: Options,
) -> tuple[np.ndarray, np.ndarray]:
    """Read, place, move and colour the frames: (T, 3, S, S) uint8 and (T, S, S) uint8."""
    length, still = len(order), len(set(order)) == 1
    play = _Play.of(rng, length, still, options) if length > 1 else _Play(False, False, False)
    turned = augment.placement(rng, options.strength, _placed(box, window, np.eye(3))[0])
    steps = [turned] * length
    if length > 1 and (still or rng.random() < 0.25):
        steps = [turned @ move for move in _around(box, window, turned, augment.motion(rng, length, play.leaves))]
    bends = _bends(rng, length, still, play, box, window, turned, options)
    to_pixels = _window_matrix(window)
    maps = [to_pixels @ step for step in steps]
    area = _needed(maps, [s for a, s in enumerate(case.frames.shape[:3]) if a != axis])
    source = torch.from_numpy(_source(case, target, axis, order[:1] if still else order, area, rng))
    factor = max(1, int(np.sqrt((window[2] - window[0]) * (window[3] - window[1])) / options.size + 0.35))
    flows = augment.grid([_unit_matrix(area, factor) @ m for m in maps], options.size, bends)
    if factor > 1:
        source = augment.pooled(source, factor)
    if play.fades:
        drawn = _fading(source, flows, rng)
    else:
        drawn = F.grid_sample(source.expand(length, -1, -1, -1), flows, padding_mode="zeros", align_corners=False)
    masks = (drawn[:, -1] > 0.5).to(torch.uint8)
    pictures = drawn[:, :-1]
    if length > 1 and rng.random() < 0.5:
        pictures = augment.flicker(pictures, rng)
    pictures = augment.look(pictures, rng, options.strength)
    pictures = (pictures * 255 + 0.5).to(torch.uint8).expand(-1, 3, -1, -1)
    return np.ascontiguousarray(pictures.numpy()), np.ascontiguousarray(masks.numpy())


@dataclass(frozen=True, slots=True)
class _Play:
    """What becomes of the object in a made-up movement."""

    leaves: bool
    fades: bool
    shrinks: bool

    @classmethod
    def of(cls, rng: np.random.Generator, length: int, still: bool, options: Options) -> _Play:
        draw = rng.random()
        if not still or draw < options.still:
            return cls(False, False, still and rng.random() < 0.3)
        return cls(draw > 1 - (1 - options.still) * 0.3, draw <= 1 - (1 - options.still) * 0.3, rng.random() < 0.6)


def _bends(rng, length, still, play, box, window, turned, options) -> torch.Tensor | None:  # type: ignore[no-untyped-def]
    bends = None
    if rng.random() < options.strength.bend * (2.0 if still and length > 1 else 1.0):
        bends = augment.bending(rng, length, options.size, moving=length > 1)
    if play.shrinks:
        centre, radius = _placed(box, window, turned)
        goal = rng.uniform(0.5, 1.9) if play.fades or rng.random() < 0.5 else rng.uniform(-0.4, 0)
        swell = augment.swelling(centre, radius, np.linspace(0, goal, length), options.size)
        bends = swell if bends is None else bends + swell
    return bends


def _placed(box: Rectangle, window: Rectangle, turned: np.ndarray) -> tuple[tuple[float, float], float]:
    """Where the box's centre comes to lie in the output, in unit (x, y), and the box's mean radius there."""
    y, x = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    there = np.linalg.inv(_window_matrix(window) @ turned) @ [x, y, 1]
    radius = ((box[2] - box[0]) / (window[2] - window[0]) + (box[3] - box[1]) / (window[3] - window[1])) / 2
    return (float(there[0]), float(there[1])), float(radius)


def _around(box: Rectangle, window: Rectangle, turned: np.ndarray, moves: list[np.ndarray]) -> list[np.ndarray]:
    """Turn and scale about the object, not about the window's middle."""
    centre, _ = _placed(box, window, turned)
    return [augment.about(centre, move) for move in moves]


def _window_matrix(window: Rectangle) -> np.ndarray:
    """Unit (x, y) over the window -> frame pixels (x, y), whose first pixel's edge is 0."""
    y0, x0, y1, x1 = window
    return np.array([[(x1 - x0) / 2, 0, (x0 + x1) / 2], [0, (y1 - y0) / 2, (y0 + y1) / 2], [0, 0, 1.0]])


def _unit_matrix(area: tuple[int, int, int, int], factor: int) -> np.ndarray:
    """Frame pixels -> unit over the cut-out, whose size pooling rounds up to a multiple of `factor`."""
    y0, x0, y1, x1 = area
    height, width = (-(-n // factor) * factor for n in (y1 - y0, x1 - x0))
    return np.array([[2 / width, 0, -1 - 2 * x0 / width], [0, 2 / height, -1 - 2 * y0 / height], [0, 0, 1.0]])


def _needed(maps: list[np.ndarray], shape: list[int]) -> tuple[int, int, int, int]:
    """The cut-out of the frame that the maps read: only that is converted to float."""
    corners = np.array([[x, y, 1] for x in (-1.15, 1.15) for y in (-1.15, 1.15)]).T
    xy = np.concatenate([m @ corners for m in maps], 1)[:2]
    low = np.clip(np.floor(xy.min(1)).astype(int) - 2, 0, [shape[1] - 1, shape[0] - 1])
    high = np.clip(np.ceil(xy.max(1)).astype(int) + 2, low + 1, [shape[1], shape[0]])
    return int(low[1]), int(low[0]), int(high[1]), int(high[0])


def _source(case, target, axis, order, area, rng) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(T, C + 1, h, w) float32: grey or colour in 0..1, the mask as the last channel."""
    y0, x0, y1, x1 = area
    frames = np.moveaxis(case.frames, axis, 0)[order, y0:y1, x0:x1]
    frames = frames[..., None] if frames.ndim == 3 else frames
    source = np.zeros((len(order), frames.shape[-1] + 1, y1 - y0, x1 - x0), np.float32)
    for index, number in enumerate(order):
        spot = target.on_frame(number, axis)
        if spot is not None:
            _paste(source[index, -1], spot[0], spot[1], (y0, x0))
    low, high = _shades(case, frames[0, ..., 0], source[0, -1] > 0, rng)
    source[:, :-1] = np.moveaxis(((frames.astype(np.float32) - low) / (high - low)).clip(0, 1), -1, 1)
    return source


def _paste(canvas: np.ndarray, first: tuple[int, int], patch: np.ndarray, origin: tuple[int, int]) -> None:
    y, x = first[0] - origin[0], first[1] - origin[1]
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + patch.shape[0], canvas.shape[0]), min(x + patch.shape[1], canvas.shape[1])
    if top < bottom and left < right:
        canvas[top:bottom, left:right] = patch[top - y : bottom - y, left - x : right - x]


def _shades(case: LoadedCase, values: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Which grey value shows black and which white; a CT window that would hide the object is not used."""
    if case.percentiles is None:
        return 0.0, 255.0
    if case.modality == "ct":
        name = list(CT_WINDOWS_HU)[int(rng.choice(len(CT_SHARES), p=CT_SHARES))]
        middle = float(np.median(values[mask])) if mask.any() else 40.0
        level, width = CT_WINDOWS_HU[name]
        level, width = level + rng.uniform(-0.1, 0.1) * width, width * np.exp(rng.uniform(-0.2, 0.2))
        if not level - 0.45 * width < middle < level + 0.45 * width:
            level, width = (middle, 500.0) if not -160 < middle < 240 else CT_WINDOWS_HU["soft"]
        return float(level - width / 2), float(level + width / 2)
    low = float(case.percentiles[0][int(rng.choice(len(LOW_PERCENTILES), p=(0.15, 0.55, 0.2, 0.1)))])
    high = float(case.percentiles[1][int(rng.choice(len(HIGH_PERCENTILES), p=(0.1, 0.2, 0.55, 0.15)))])
    return low, max(high, low + 1.0)


def _fading(source: torch.Tensor, flows: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A still picture whose object pales over a few frames until only its surroundings are left."""
    length = len(flows)
    empty = torch.cat(
        [augment.without_object(source[:, :-1], source[:, -1:], rng), torch.zeros_like(source[:, -1:])], 1
    )
    end = int(rng.integers(1, length))
    lasts = torch.arange(length) < end
    clear = torch.where(lasts, torch.linspace(1.0, float(rng.uniform(0.5, 1.0)), length), torch.zeros(length))
    drawn = F.grid_sample(torch.cat([source, empty], 1).expand(length, -1, -1, -1), flows, align_corners=False)
    seen, bare = drawn.split(source.shape[1], 1)
    pictures = bare[:, :-1] + clear[:, None, None, None] * (seen[:, :-1] - bare[:, :-1])
    return torch.cat([pictures, seen[:, -1:] * lasts[:, None, None, None]], 1)


def _by_set(loaded: Sequence[LoadedCase]) -> list[dict[str, list[LoadedCase]]]:
    """[pictures by set, volumes and videos by set]."""
    groups: list[dict[str, list[LoadedCase]]] = [defaultdict(list), defaultdict(list)]
    for case in loaded:
        groups[case.kind != "image"][case.set].append(case)
    return groups


@dataclass(slots=True)
class _Numbered(torch.utils.data.Dataset):
    """Batch by number, for the loader's worker processes."""

    sampler: Sampler
    batch_size: int
    as_tensors: bool

    def __getitem__(self, number: int) -> tuple[Any, Any, list[dict[str, Any]]]:
        batch = self.sampler.batch(number, self.batch_size)
        if self.as_tensors:
            return batch.images, batch.masks, batch.metas
        return batch.images.numpy(), batch.masks.numpy(), batch.metas


def _shared_memory_is_large() -> bool:
    """Tensors travel through /dev/shm without a copy; in a container with a tiny one they go through the pipe."""
    try:
        return shutil.disk_usage("/dev/shm").free > 2**31
    except OSError:
        return False


def _same(item: Any) -> Any:
    return item


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
