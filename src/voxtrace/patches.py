"""The part of each frame where an object is: put down while it is followed, read again when it is drawn."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from voxtrace.engine import NO_OBJECT_LOGIT
from voxtrace.scratch import Spill

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """The part of a frame of (H, W) `shape` where an object is: logits (h, w) float32 around all that is > 0, from row
    `y`, column `x`. Outside it there is no object. Full frames of many objects would not fit anywhere.
    """

    shape: tuple[int, int]
    y: int
    x: int
    logits: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray) -> Patch:
        """Cut (H, W) logits down to their positive part."""
        inside = logits > 0
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(rows):
            return cls(logits.shape, 0, 0, np.zeros((0, 0), np.float32))  # type: ignore[arg-type]
        y, x = rows[0], columns[0]
        found = logits[y : rows[-1] + 1, x : columns[-1] + 1].astype(np.float32)
        return cls(logits.shape, int(y), int(x), found)  # type: ignore[arg-type]

    def paste(self) -> np.ndarray:
        """(H, W) float32 logits of the frame."""
        frame = np.full(self.shape, NO_OBJECT_LOGIT, np.float32)
        h, w = self.logits.shape
        frame[self.y : self.y + h, self.x : self.x + w] = self.logits
        return frame


class ByFrame(Mapping[int, Value], Generic[Value]):
    """{frame: value} in few bytes a frame, in the order of frames, never changed.

    frames: (F,) ascending. value: gives the value of the n-th of them. Pickled, it is a plain dict.
    """

    __slots__ = ("_frames", "_value")

    def __init__(self, frames: np.ndarray, value: Callable[[int], Value]) -> None:
        self._frames = frames
        self._value = value

    def __getitem__(self, frame: int) -> Value:
        place = int(np.searchsorted(self._frames, frame))
        if place == len(self._frames) or self._frames[place] != frame:
            raise KeyError(frame)
        return self._value(place)

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames.tolist())

    def __len__(self) -> int:
        return len(self._frames)

    def __repr__(self) -> str:
        return f"ByFrame({dict(self)})"

    def __reduce__(self) -> tuple[type[dict], tuple[dict[int, Value]]]:  # type: ignore[override]
        return dict, (dict(self),)


class PatchWriter:
    """Patches of one object as they come, in any order of frames. Of each frame the last one counts.

    spill: where they are put down; several writers may share one.
    """

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._rows = array("q")  # frame, H, W, y, x, h, w, place: 64 bytes a frame

    def add(self, frame: int, patch: Patch) -> None:
        """Put one down. Raises OutputError where the disk is full."""
        place = self._spill.put(patch.logits)
        self._rows.extend((frame, *patch.shape, patch.y, patch.x, *patch.logits.shape, place))

    def order(self) -> np.ndarray:
        """(F,) places of what was added, in the order of frames, the last of each frame."""
        frames = self._table()[:, 0]
        order = np.argsort(frames, kind="stable")
        return order[np.append(np.diff(frames[order]) > 0, True)] if len(order) else order

    def patches(self) -> ByFrame[Patch]:
        """All of them, each read from the spill when it is asked for."""
        rows, spill = self._table()[self.order()], self._spill

        def read(n: int) -> Patch:
            _, height, width, y, x, h, w, place = rows[n].tolist()
            return Patch((height, width), y, x, spill.get(place, (h, w), np.float32))

        return ByFrame(rows[:, 0], read)

    def _table(self) -> np.ndarray:
        return np.array(self._rows, np.int64).reshape(-1, 8)
