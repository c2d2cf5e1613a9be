"""The part of a frame that a box method works on: the box and a margin, at a reduced size where it is large."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtrace.prompts import Box

MARGIN = 0.5  # of the box's sides: the background that is learnt from
LONGEST = 160  # pixels of the longer side


@dataclass(frozen=True, slots=True)
class Region:
    """Half-open rows and columns of a frame of (H, W) `shape`, of which every `step`-th pixel is looked at."""

    box: Box
    shape: tuple[int, int]
    rows: slice
    columns: slice

    @classmethod
    def around(cls, box: Box, shape: tuple[int, int]) -> Region:
        """The box and its margin, inside the frame."""
        sides = ((box.y0, box.y1, shape[0]), (box.x0, box.x1, shape[1]))
        margins = [max(MARGIN * (high - low), 3) for low, high, _ in sides]
        rows, columns = (
            slice(max(int(low - margin), 0), min(int(np.ceil(high + margin)), size))
            for margin, (low, high, size) in zip(margins, sides, strict=True)
        )
        return cls(box, shape, rows, columns)

    @property
    def step(self) -> int:
        """1 where the region is small."""
        return -(-max(self.rows.stop - self.rows.start, self.columns.stop - self.columns.start) // LONGEST)

    def part(self, frame: np.ndarray) -> np.ndarray:
        """(h, w, ...) of (H, W, ...): the pixels that are looked at."""
        return frame[self.rows, self.columns][:: self.step, :: self.step]

    @property
    def in_box(self) -> np.ndarray:
        """(h, w) bool: which of them are in the box."""
        return self.part(self._box())

    def whole(self, found: np.ndarray) -> np.ndarray:
        """(H, W) bool of the frame from (h, w) bool: nothing outside the box."""
        rows, columns = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        mask = np.zeros(self.shape, bool)
        mask[self.rows, self.columns] = found.repeat(self.step, 0).repeat(self.step, 1)[:rows, :columns]
        return mask & self._box()

    def _box(self) -> np.ndarray:
        """(H, W) bool: the pixels whose centres are in the box."""
        y, x = np.ogrid[: self.shape[0], : self.shape[1]]
        rows = (y + 0.5 > self.box.y0) & (y + 0.5 < self.box.y1)
        return rows & (x + 0.5 > self.box.x0) & (x + 0.5 < self.box.x1)
