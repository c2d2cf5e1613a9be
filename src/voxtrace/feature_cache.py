"""Frames as a net encoded them, kept for all objects, directions and corrections."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from voxtrace.engine import Engine, Features
from voxtrace.view import View
from voxtrace.volume import Frames

CACHE_BYTES = 2**30


class FeatureCache:
    """Frames encoded once, as seen through a view; the least recently used are forgotten, so memory is bounded.

    size: frames kept; None lets the size of the net decide (about 1 GiB).
    """

    def __init__(self, engine: Engine, frames: Frames, size: int | None = None) -> None:
        self.engine = engine
        self.frames = frames
        # A SAM 2 net keeps about 4 float32 values for each pixel of its input: 4 MiB at 512, 16 MiB at 1024. A hinted
        # net keeps 2 and the image, 3: about as much.
        self.size = max(engine.batch, size or CACHE_BYTES // (16 * engine.image_size**2))
        self.shapes: dict[int, tuple[int, int]] = {}  # (H, W) of every frame that was ever encoded
        self._kept: OrderedDict[tuple[View, int], Features] = OrderedDict()

    def __call__(self, view: View, frame: int, ahead: Sequence[int] = ()) -> Features:
        """The features of `frame`. If it must be encoded, so are those `ahead`, up to the engine's batch."""
        if (view, frame) not in self._kept:
            missing = [f for f in ahead if (view, f) not in self._kept and f != frame]
            self._encode(view, [frame, *missing][: self.engine.batch])
        self._kept.move_to_end((view, frame))
        return self._kept[view, frame]

    def _encode(self, view: View, frames: Sequence[int]) -> None:
        whole = {f: self.frames[f] for f in frames}
        self.shapes |= {f: frame.shape[:2] for f, frame in whole.items()}
        pixels = {f: view.crop(frame) for f, frame in whole.items()}
        shape = pixels[frames[0]].shape
        alike = [f for f in frames if pixels[f].shape == shape]
        encoded = self.engine.encode([pixels[f] for f in alike])
        self._kept.update({(view, f): features for f, features in zip(alike, encoded, strict=True)})
        while len(self._kept) > self.size:
            oldest = next(key for key in self._kept if key != (view, frames[0]))
            del self._kept[oldest]
