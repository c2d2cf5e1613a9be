"""Batches of training clips: which way, how long, of which cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch

from voxtrace.errors import InputError, VoxtraceError
from voxtrace.train.balance import Balanced
from voxtrace.train.cases import LoadedCase
from voxtrace.train.cutting import VISIBLE_PIXELS, Clip, cut_clip, padded
from voxtrace.train.options import Options
from voxtrace.train.sets import PictureSets, cut_set
from voxtrace.train.synth import SynthPool
from voxtrace.train.workers import ahead

Way = Literal["clip", "loose", "set"]
ATTEMPTS = 30
CORRUPT = (OSError, EOFError, ValueError, ArithmeticError, LookupError, RuntimeError, VoxtraceError)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """images (B, T, 3, S, S) uint8 and masks (B, T, S, S) uint8 tensors; `metas` holds one entry a clip. Where several
    objects are followed in a clip, masks (B, O, T, S, S), those that are empty on all frames being no objects.

    way: how the object is asked for, in all clips: "clip", "loose" (by clicks) or "set" (it lies elsewhere on each).
    """

    images: torch.Tensor
    masks: torch.Tensor
    metas: list[dict[str, Any]]
    way: Way = "clip"


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
    _pictures: Balanced = field(init=False, repr=False)
    _moving: Balanced = field(init=False, repr=False)
    _sets: PictureSets = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.loaded and self.synth is None:
            raise InputError("a sampler needs at least one loaded case or a pool of synthetic ones")
        self._pictures, self._moving = (
            Balanced.of((case for case in self.loaded if (case.kind == "image") == flat), self.options)
            for flat in (True, False)
        )
        self._sets = PictureSets.of(self.loaded)
        lengths = [self.clip_length] if isinstance(self.clip_length, int) else self.clip_length
        for length in lengths:
            only_sets = length > 1 and self.options.sets >= 1 and self._sets.classes
            if not only_sets and not self._shares(length).any():
                flat = sum(case.kind == "image" for case in self.loaded)
                raise InputError(
                    f"nothing can be drawn for clips of {length} frames: there are {flat} pictures and "
                    f"{len(self.loaded) - flat} volumes and videos; give what there is a share (images, images_moved, "
                    "volumes, synthetic) and its sets a weight (set_weights) above 0"
                )

    def draw(self) -> Clip:
        """The next clip of a stream of its own."""
        rng = np.random.default_rng([self.seed, 1, self._drawn])
        self._drawn += 1
        return self.clip(rng, self._length(rng), self._drawn)

    def batch(self, number: int, frames: int) -> Batch:
        """Batch `number`: one way and one length for all clips, about `frames` frames, so that each costs the same."""
        rng = np.random.default_rng([self.seed, 2, number])
        length = self._length(rng)
        way = self._way(rng, length)
        clips = [self.clip(rng, length, number * frames + index, way) for index in range(max(1, frames // length))]
        images, masks = np.stack([c.images for c in clips]), np.stack([c.masks for c in clips])
        return Batch(torch.from_numpy(images), torch.from_numpy(masks), [clip.meta for clip in clips], way)

    def batches(self, frames: int, workers: int = 2, start: int = 0, stop: int = 2**31) -> Iterator[Batch]:
        """Batches start, start + 1, ... in order, made ahead in `workers` processes (0: in this one)."""
        if not workers:
            yield from (self.batch(number, frames) for number in range(start, stop))
            return
        for images, masks, metas, way in ahead(lambda number: self.batch(number, frames), range(start, stop), workers):
            yield Batch(torch.as_tensor(images), torch.as_tensor(masks), metas, way)

    def clip(self, rng: np.random.Generator, length: int, position: int = 0, way: Way = "clip") -> Clip:
        """A clip of `length` frames; `position` says how far the window of synthetic cases has moved."""
        left_out: dict[str, str] = {}
        for _ in range(ATTEMPTS):
            case = None if way == "set" else self._case(rng, length, position)
            try:
                clip = (
                    self._set(rng, length)
                    if case is None
                    else cut_clip(case, rng, length, self.options, way == "loose")
                )
            except CORRUPT as error:
                left_out[case.id if case else "a set of pictures"] = f"{type(error).__name__}: {error}"
                continue
            if clip is not None:
                return replace(clip, meta=clip.meta | {"left_out": left_out}) if left_out else clip
        reasons = "".join(f"; {name}: {why}" for name, why in left_out.items())
        raise InputError(f"{ATTEMPTS} attempts gave no {way} of {length} frames with the object on the first{reasons}")

    def _length(self, rng: np.random.Generator) -> int:
        return self.clip_length if isinstance(self.clip_length, int) else int(rng.choice(list(self.clip_length)))

    def _way(self, rng: np.random.Generator, length: int) -> Way:
        if length > 1 and rng.random() < self.options.sets and self._sets.classes:
            return "set"
        return "loose" if rng.random() < self.options.loose else "clip"

    def _set(self, rng: np.random.Generator, length: int) -> Clip | None:
        shown = self._sets.draw(rng, length)
        images, masks = cut_set(shown, rng, self.options)
        if masks[0].sum() < VISIBLE_PIXELS:
            return None
        first, target = shown[0]
        return Clip(
            images,
            padded(masks[None], self.options),
            {"set": first.set, "case": first.id, "object": target.kind, "axis": 0, "frames": []},
        )

    def _case(self, rng: np.random.Generator, length: int, position: int) -> LoadedCase:
        shares = self._shares(length)
        which = int(rng.choice(3, p=shares / shares.sum()))
        if which == 2:
            assert self.synth is not None
            return self.synth.near(position // self.refresh, rng, flat=rng.random() < 0.35)
        return (self._pictures, self._moving)[which].draw(rng)

    def _shares(self, length: int) -> np.ndarray:
        """(3,): how often a clip shows a picture, a volume or video, or a made-up case, in any scale."""
        o = self.options
        images = o.images if length == 1 or o.images_moved is None else o.images_moved
        there = bool(self._pictures), bool(self._moving), self.synth is not None
        return np.array([images, o.volumes, o.synthetic]) * there


__all__ = ["VISIBLE_PIXELS", "Batch", "Clip", "Options", "Sampler", "Way", "cut_clip"]
