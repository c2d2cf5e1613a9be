"""An engine without a net: an object is the connected piece of nearly the same grey as where it was marked.

It follows what overlaps the newest memory, so it loses an object that jumps or changes its grey, as a net would.
It counts what it is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from voxtrace.engine import NO_OBJECT_LOGIT, Recalled
from voxtrace.prompts import BOX_START, NEGATIVE, POSITIVE, FramePrompt

TOLERANCE = 20  # grey levels


@dataclass(frozen=True, eq=False)
class FakeFeatures:
    grey: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.grey.shape

    @property
    def key(self) -> np.ndarray:
        return np.histogram(self.grey, 8, (0, 256))[0].astype(np.float32)


@dataclass(frozen=True, eq=False)
class FakeDecoded:
    logits: np.ndarray
    object_score: np.ndarray
    iou: np.ndarray


@dataclass(frozen=True, eq=False)
class FakeEntry:
    """Also made by hand in tests of the memory policies."""

    frame: int
    prompted: bool = False
    object_score: float = 5.0
    iou: float = 0.9
    key: np.ndarray = field(default_factory=lambda: np.ones(2, np.float32))
    image_key: np.ndarray = field(default_factory=lambda: np.ones(2, np.float32))
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))
    grey: float = 0.0


class FakeEngine:
    """encoded: frames encoded, in all. followed: objects in each call of follow."""

    name = "fake"
    image_size = 64

    def __init__(self, batch: int = 1, zoom: float | None = None, follows: bool = True) -> None:
        self.batch, self.zoom, self.follows = batch, zoom, follows
        self.encoded = 0
        self.encoded_shapes: list[tuple[int, ...]] = []
        self.batches: list[int] = []
        self.begun: list[list[FramePrompt]] = []
        self.followed: list[int] = []
        self.recalled: list[Recalled] = []

    def encode(self, frames: Sequence[np.ndarray]) -> list[FakeFeatures]:
        self.encoded += len(frames)
        self.encoded_shapes += [frame.shape for frame in frames]
        self.batches.append(len(frames))
        return [FakeFeatures(frame[..., 0].astype(np.float32)) for frame in frames]

    def begin(self, features: FakeFeatures, prompts: Sequence[FramePrompt]) -> FakeDecoded:
        self.begun.append(list(prompts))
        return _decoded([_marked(features.grey, prompt) for prompt in prompts])

    def follow(self, features: FakeFeatures, recalled: Sequence[Recalled]) -> FakeDecoded:
        self.followed.append(len(recalled))
        self.recalled += recalled
        return _decoded([_continued(features.grey, r) for r in recalled])

    def remember(self, features: FakeFeatures, decoded: FakeDecoded, frame: int, prompted: bool) -> list[FakeEntry]:
        entries = []
        for logits, score, iou in zip(decoded.logits, decoded.object_score, decoded.iou, strict=True):
            mask = logits > 0
            grey = float(features.grey[mask].mean()) if mask.any() else -1000.0
            key = ndimage.zoom(mask.astype(np.float32), (4 / mask.shape[0], 4 / mask.shape[1]), order=1).ravel()
            entries.append(FakeEntry(frame, prompted, float(score), float(iou), key, features.key, mask, grey))
        return entries


def _decoded(logits: list[np.ndarray]) -> FakeDecoded:
    there = np.array([(one > 0).any() for one in logits])
    return FakeDecoded(
        np.stack(logits), np.where(there, 5, -5).astype(np.float32), np.where(there, 0.9, 0).astype(np.float32)
    )


def _marked(grey: np.ndarray, prompt: FramePrompt) -> np.ndarray:
    if not len(prompt.labels):
        assert prompt.mask is not None
        return np.where(prompt.mask, 10, -10).astype(np.float32)
    logits = np.full(grey.shape, -10, np.float32)
    if prompt.mask is not None:
        logits[prompt.mask] = 10
    if prompt.has_box:
        (x0, y0), (x1, y1) = prompt.points_xy[prompt.labels >= BOX_START]
        inside = np.zeros(grey.shape, bool)
        inside[max(int(y0), 0) : int(np.ceil(y1)), max(int(x0), 0) : int(np.ceil(x1))] = True
        middle = grey[int((y0 + y1) / 2), int((x0 + x1) / 2)]
        logits = np.where(inside, np.maximum(logits, _piece(grey, inside, middle)), logits)
    for x, y in prompt.points_xy[prompt.labels == POSITIVE]:
        seed = np.zeros(grey.shape, bool)
        seed[int(y), int(x)] = True
        logits = np.maximum(logits, _piece(grey, seed, grey[int(y), int(x)]))
    rows, columns = np.indices(grey.shape) + 0.5
    for x, y in prompt.points_xy[prompt.labels == NEGATIVE]:
        logits[np.hypot(rows - y, columns - x) < 1.5] = -10
    return logits


def _continued(grey: np.ndarray, recalled: Recalled) -> np.ndarray:
    newest = min(recalled.memories, key=lambda item: item[1] or 100)[0]
    seeds = newest.mask if newest.mask.shape == grey.shape else np.ones(grey.shape, bool)  # a set: anywhere
    logits = _piece(grey, seeds, newest.grey)
    return logits if (logits > 0).any() else np.full(grey.shape, NO_OBJECT_LOGIT, np.float32)


def _piece(grey: np.ndarray, seeds: np.ndarray, value: float) -> np.ndarray:
    """Logits of the pieces of nearly `value` that touch `seeds`: largest where the grey is exactly `value`."""
    near = np.abs(grey - value) <= TOLERANCE
    pieces, _ = ndimage.label(near)
    touched = np.setdiff1d(np.unique(pieces[seeds]), [0])
    return np.where(np.isin(pieces, touched), TOLERANCE + 1 - np.abs(grey - value), -10).astype(np.float32)
