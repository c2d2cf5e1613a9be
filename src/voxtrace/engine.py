"""The Engine: four verbs, no state. Everything above it (memory, tracking, sessions) sees only this file.

    encode    frames                       -> Features        once a frame, for all objects and corrections
    begin     features, prompts            -> Decoded         a frame with prompts
    follow    features, recalled memories  -> Decoded         any other frame, all objects in one batch
    remember  features, decoded            -> Entry, one an object

What an engine keeps inside Features, Decoded and Entry is its own business (torch tensors, OpenVINO arrays);
others read only the fields named here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from voxtrace.prompts import FramePrompt

NO_OBJECT_LOGIT = -1024.0  # what SAM 2 writes everywhere when the object score says "not here"


@runtime_checkable
class Features(Protocol):
    """One frame, encoded."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the frame it came from."""
        ...

    @property
    def key(self) -> np.ndarray:
        """(K,) float32: the frame's flattened embedding, for similarity between frames."""
        ...


@runtime_checkable
class Decoded(Protocol):
    """N objects on one frame."""

    @property
    def logits(self) -> np.ndarray:
        """(N, H, W) float32 at the frame's own size; > 0 is inside."""
        ...

    @property
    def object_score(self) -> np.ndarray:
        """(N,) float32 logits: > 0 means that the object is on this frame."""
        ...

    @property
    def iou(self) -> np.ndarray:
        """(N,) float32: the IoU that the net expects of its own mask, 0..1."""
        ...


@runtime_checkable
class Entry(Protocol):
    """What is remembered of one object on one frame."""

    @property
    def frame(self) -> int:
        """The frame's index."""
        ...

    @property
    def prompted(self) -> bool:
        """Whether a person marked the object on this frame."""
        ...

    @property
    def object_score(self) -> float:
        """As in Decoded."""
        ...

    @property
    def iou(self) -> float:
        """As in Decoded: the confidence by which SelfSorting admits."""
        ...

    @property
    def key(self) -> np.ndarray:
        """(M,) float32: the flattened memory map, for similarity between memories."""
        ...

    @property
    def image_key(self) -> np.ndarray:
        """(K,) float32: the key of the Features it was made from."""
        ...


@dataclass(frozen=True, slots=True)
class Recalled:
    """What one object is followed with. Each item is (entry, time).

    memories: time 0 is a prompted frame, 1..6 a frame that many steps ago, None one without a place in time.
    pointers: time is the signed distance in frames along the walk (prompted frames ahead are negative).
    shown: (entry, weight), the latest first: earlier frames whose masks and pictures a net may look at as they are, all
    seen through the same window as the frame that is followed. SAM 2's own nets have no use for them.
    placed: whether the object is about where it was on those; not in a set without order.
    pointer_span: the longest look back that was possible, min(number of frames, 16) - 1; SAM 2 measures time in it.
    """

    memories: tuple[tuple[Entry, int | None], ...] = ()
    pointers: tuple[tuple[Entry, int], ...] = ()
    pointer_span: int = 15
    shown: tuple[tuple[Entry, float], ...] = ()
    placed: bool = True


class Engine(Protocol):
    """A net on a runtime."""

    name: str
    image_size: int
    batch: int  # frames that are worth encoding together: 1 on a CPU, more on a GPU
    zoom: float | None  # window side / prompt side that the net was trained to see; None: always the whole frame
    follows: bool  # False for nets of single images (MedSAM, LiteMedSAM): they follow through told ranges alone

    def encode(self, frames: Sequence[np.ndarray]) -> list[Features]:
        """Encode (H, W, 3) uint8 frames of equal shape, together when there are several."""
        ...

    def begin(self, features: Features, prompts: Sequence[FramePrompt]) -> Decoded:
        """Decode N objects from their prompts on this frame. A mask prompt comes back as it was given."""
        ...

    def follow(self, features: Features, recalled: Sequence[Recalled]) -> Decoded:
        """Decode N objects from what is remembered of them."""
        ...

    def remember(self, features: Features, decoded: Decoded, frame: int, prompted: bool) -> list[Entry]:
        """One Entry for each of decoded's objects."""
        ...


@runtime_checkable
class KeepsFeatures(Protocol):
    """What an Engine may offer besides: features as plain arrays, so that they can be kept on disk.

    Apart from that an Engine may say `ahead = True`, where it pays to encode the next frame in another thread while
    this one is followed: `encode` then runs in one thread at a time, the other verbs meanwhile in another.
    """

    @property
    def features_id(self) -> str:
        """All that features depend on beside the frame, to the bit: runtime, precision, device, threads, the hash of
        the weights file, the net's config. "" where that is not known, as for a net made in memory: nothing is kept."""
        ...

    def encode(self, frames: Sequence[np.ndarray]) -> list[Features]:
        """As an Engine does."""
        ...

    def pack(self, features: Features) -> dict[str, np.ndarray]:
        """The features as arrays of any strides, not to be changed; may be called in another thread."""
        ...

    def unpack(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> Features:
        """The inverse, to the bit, of a frame of (H, W) `shape`; arrays have the same order of axes in memory.

        ValueError or KeyError where they are not what `pack` gives.
        """
        ...
