"""What an engine on graphs hands out and takes back: features, masks and memories as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from voxtrace.engines.resizing import resize

MASK_SCALE, MASK_BIAS = 20.0, -10.0  # a certain mask as logits, as in model/sam2.py


class Heads(NamedTuple):
    """What the decoder says of N objects: logits (N, 1, H, H), iou (N,), pointer (N, C), object_score (N, 1)."""

    logits: np.ndarray
    iou: np.ndarray
    pointer: np.ndarray
    object_score: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class GraphFeatures:
    """One encoded frame: (H, W) and what `encode` gave of it, by name."""

    shape: tuple[int, int]
    maps: Mapping[str, np.ndarray]

    @property
    def key(self) -> np.ndarray:
        """(K,) float32: the flattened embedding."""
        return self.maps["embedding"].ravel()


@dataclass(frozen=True, slots=True, eq=False)
class GraphDecoded:
    """N objects on one frame. given: object -> the mask that the prompt gave, (H, W) bool."""

    shape: tuple[int, int]
    heads: Heads
    given: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def logits(self) -> np.ndarray:
        """(N, H, W) float32. A given mask comes back voxel by voxel, as certain as SAM 2 makes it (-10 or 10)."""
        logits = resize(self.heads.logits[:, 0], self.shape)
        if self.given:
            logits = logits.copy()
        for index, mask in self.given.items():
            logits[index] = np.where(mask, MASK_SCALE + MASK_BIAS, MASK_BIAS)
        return logits

    @property
    def object_score(self) -> np.ndarray:
        """(N,) float32 logits."""
        return self.heads.object_score[:, 0]

    @property
    def iou(self) -> np.ndarray:
        """(N,) float32."""
        return self.heads.iou


@dataclass(frozen=True, slots=True, eq=False)
class GraphEntry:
    """One object's memory (T, memory_dim), pointer (C,) and mask logits (1, side, side) of one frame.

    embedding: (1, C, h, w) of the frame; image: (1, 3, S, S), for nets that are shown frames again.
    """

    frame: int
    prompted: bool
    object_score: float
    iou: float
    memory: np.ndarray
    pointer: np.ndarray
    logits: np.ndarray
    embedding: np.ndarray
    image: np.ndarray | None

    @property
    def key(self) -> np.ndarray:
        """(M,) float32: the flattened memory."""
        return self.memory.ravel()

    @property
    def image_key(self) -> np.ndarray:
        """(K,) float32: the key of the frame."""
        return self.embedding.ravel()
