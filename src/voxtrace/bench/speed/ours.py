"""Our side: the product's own path, from the array to the masks, and the seconds that each verb took of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from voxtrace.bench.speed.work import Work
from voxtrace.engine import Engine
from voxtrace.prompts import BOX_START, BOX_STOP, Box, FramePrompt
from voxtrace.sessions import VolumeSession
from voxtrace.volume import Volume
from voxtrace.windowing import parse_window

VERBS = ("encode", "begin", "follow", "remember")


class Timed:
    """An engine whose verbs are timed, in `seconds`. The next frame may be encoded while one is followed: then the sum
    is more than what went by."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.seconds: dict[str, float] = defaultdict(float)
        self.done: dict[str, int] = defaultdict(int)  # frames encoded; of the other verbs, objects on a frame

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._engine, name)
        return self._timed(name, value) if name in VERBS else value

    def _timed(self, verb: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            found = call(*args, **options)
            self.seconds[verb] += time.perf_counter() - start
            self.done[verb] += len(found) if isinstance(found, list) else len(args[1])
            return found

        return timed


class Ours:
    """A voxtrace engine on the work."""

    def __init__(self, work: Work, engine: Any) -> None:
        self.work = work
        self.engine = Timed(engine)
        self.volume = Volume(work.volume())
        self._masks: np.ndarray | None = None
        self._mark: Callable[[], np.ndarray] | None = None

    def run(self) -> None:
        """Follow all objects through the volume; no walk ends early, so that all sides do as much."""
        self.engine.seconds.clear()
        self.engine.done.clear()
        engine: Engine = self.engine  # type: ignore[assignment]
        session = VolumeSession(engine, self.volume, window=parse_window("as-is"), stop=None, overlap="keep")
        for name, (y0, x0, y1, x1) in enumerate(self.work.boxes(), start=1):
            session.add(Box.on_slice(self.work.middle, y0, x0, y1, x1), object=name)
        result = session.run()
        shape = self.volume.array.shape[1:]
        self._masks = np.stack(
            [
                np.stack([track.logits(frame, shape) > 0 for frame in range(self.work.slices)])
                for track in result.tracks.values()
            ]
        )

    def masks(self) -> np.ndarray:
        """(objects, slices, H, W) bool of the last run."""
        assert self._masks is not None
        return self._masks

    def mark(self) -> None:
        """From a box to its mask on a slice that is encoded already."""
        if self._mark is None:
            features = self.encode()
            y0, x0, y1, x1 = self.work.boxes()[0]
            prompt = FramePrompt(np.array([[x0, y0], [x1, y1]], np.float32), np.array([BOX_START, BOX_STOP], np.int32))
            self._mark = lambda: self.engine.begin(features, [prompt]).logits > 0
        self._mark()

    def encode(self) -> Any:
        """One slice."""
        grey = self.volume.array[self.work.middle]
        return self.engine.encode([np.repeat(grey[..., None], 3, axis=2)])[0]

    def parts(self) -> dict[str, dict[str, float]]:
        """What each verb did and took in the last run: frames encoded; of the others, objects on a frame."""
        return {
            verb: {"done": self.engine.done[verb], "seconds": round(self.engine.seconds[verb], 4)}
            for verb in VERBS
            if self.engine.done[verb]
        }
