"""Frames as a net encoded them, kept for all objects, directions and corrections."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from voxtrace.engine import Engine, Features, KeepsFeatures
from voxtrace.feature_cache.ahead import Ahead
from voxtrace.feature_cache.store import FeatureStore, key_of
from voxtrace.view import View
from voxtrace.volume import Frames

CACHE_BYTES = 2**30
MOST_FRAMES = 512  # also of a small net, so that a video of hours takes no more memory than one of a minute

Seen = tuple[View, int]  # a frame through a view


class FeatureCache:
    """Frames encoded once, as seen through a view; the least recently used are forgotten, so memory is bounded.

    size: frames kept; None lets the size of the net decide (about 1 GiB, at most MOST_FRAMES).
    store: where features are looked for before a frame is encoded, and kept after; of use for engines that can take
    their features back (`KeepsFeatures`).
    """

    def __init__(
        self, engine: Engine, frames: Frames, size: int | None = None, store: FeatureStore | None = None
    ) -> None:
        self.engine = engine
        self.frames = frames
        # A SAM 2 net keeps about 4 float32 values for each pixel of its input: 4 MiB at 512, 16 MiB at 1024. A hinted
        # net keeps 2 and the image, 3: about as much.
        self.size = max(engine.batch, size or min(MOST_FRAMES, CACHE_BYTES // (16 * engine.image_size**2)))
        self.shapes: dict[int, tuple[int, int]] = {}  # (H, W) of every frame that was ever encoded
        self.encodes_ahead = bool(getattr(engine, "ahead", False))
        self._stored = _Stored(engine, store) if store is not None and isinstance(engine, KeepsFeatures) else None
        self._kept: OrderedDict[Seen, Features] = OrderedDict()
        self._ahead: Ahead[Seen, list[Features]] = Ahead()

    def __call__(self, view: View, frame: int, ahead: Sequence[int] = ()) -> Features:
        """The features of `frame`.

        ahead: the frames that are asked for next. If `frame` must be encoded, so are they, up to the engine's batch. By
        an engine that encodes ahead, the first of them is encoded in another thread, until `rest`; what goes wrong
        there is raised where that frame is asked for.
        """
        wanted = (view, frame)
        if wanted in self._ahead and wanted not in self._kept:
            self._keep({wanted: self._ahead.take(wanted)}, wanted)
        if wanted not in self._kept:
            missing = [f for f in ahead if (view, f) not in self._kept and f != frame]
            self._encode(view, [frame, *missing][: self.engine.batch])
        self._kept.move_to_end(wanted)
        if self.encodes_ahead:
            self._keep(self._ahead.finished(), wanted)
            for next_frame in ahead[:1]:
                self._start(view, next_frame)
        return self._kept[wanted]

    def rest(self) -> None:
        """Encode nothing ahead any more: no thread is left."""
        self._keep(self._ahead.rest())

    def _encode(self, view: View, frames: Sequence[int]) -> None:
        pixels = {f: self._pixels(view, f) for f in frames}
        shape = pixels[frames[0]].shape
        alike = [f for f in frames if pixels[f].shape == shape]
        encoded = self._ahead.now(lambda: self._obtain([pixels[f] for f in alike]))
        self._keep({(view, f): [features] for f, features in zip(alike, encoded, strict=True)}, (view, frames[0]))

    def _start(self, view: View, frame: int) -> None:
        """Frames are read here, not in the other thread: a video's reader serves one."""
        if (view, frame) in self._kept or (view, frame) in self._ahead:
            return
        try:
            pixels = self._pixels(view, frame)
        except Exception:  # raised again where that frame is asked for
            return
        self._ahead.start((view, frame), lambda: self._obtain([pixels]))

    def _pixels(self, view: View, frame: int) -> np.ndarray:
        whole = self.frames[frame]
        self.shapes[frame] = whole.shape[:2]
        return view.crop(whole)

    def _obtain(self, pixels: Sequence[np.ndarray]) -> list[Features]:
        return self.engine.encode(pixels) if self._stored is None else self._stored(pixels)

    def _keep(self, encoded: Mapping[Seen, list[Features]], wanted: Seen | None = None) -> None:
        self._kept.update({key: features for key, (features,) in encoded.items()})
        while len(self._kept) > self.size:
            del self._kept[next(key for key in self._kept if key != wanted)]


class _Stored:
    """Features from the store where they are there, else encoded and given to it."""

    def __init__(self, engine: KeepsFeatures, store: FeatureStore) -> None:
        self.engine, self.store = engine, store

    def __call__(self, pixels: Sequence[np.ndarray]) -> list[Features]:
        """Frames of equal shape; all that are not in the store are encoded together."""
        about = self.engine.features_id
        if not about:
            return self.engine.encode(pixels)
        keys = [key_of(about, one) for one in pixels]
        read = {key: self._read(key, one.shape[:2]) for key, one in zip(keys, pixels, strict=True)}
        found = {key: features for key, features in read.items() if features is not None}
        missing = {key: one for key, one in zip(keys, pixels, strict=True) if key not in found}
        if missing:
            for key, features in zip(missing, self.engine.encode(list(missing.values())), strict=True):
                found[key] = features
                self._write(key, features)
        return [found[key] for key in keys]

    def _read(self, key: str, shape: tuple[int, int]) -> Features | None:
        arrays = self.store.read(key)
        if arrays is None:
            return None
        try:
            return self.engine.unpack(arrays, shape)
        except (ValueError, KeyError) as error:
            self.store.damaged(key, str(error))
            return None

    def _write(self, key: str, features: Features) -> None:
        self.store.write(key, lambda: self.engine.pack(features))
