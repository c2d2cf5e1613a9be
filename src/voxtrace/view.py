"""What of a frame a net is shown: all of it, or a square window around an object, so that a small one is seen large.

A view cuts frames and prompts out and pastes logits back; nothing else in the program knows about windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from voxtrace.engine import NO_OBJECT_LOGIT
from voxtrace.prompts import FramePrompt

MIN_SIDE = 16  # pixels; below this a net sees nothing but interpolation
WORTH_CUTTING = 0.9  # a window that covers more of the frame than this shows the whole frame instead
GROWTH = 1.5  # by which a window grows when the object touches its border

Extent = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the frame, half-open


@dataclass(frozen=True, slots=True)
class Whole:
    """The frame as it is."""

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """The same array."""
        return pixels

    def move(self, prompt: FramePrompt) -> FramePrompt:
        """The same prompt."""
        return prompt

    def paste(self, logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The same logits."""
        return logits

    def cuts(self, inside: np.ndarray) -> bool:
        """Never: there is nothing beyond the frame."""
        return False

    def holds(self, extent: Extent) -> bool:
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Square:
    """The square of `side` pixels whose first pixel is row `y`, column `x` of the frame. It may stick out."""

    y: int
    x: int
    side: int

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, ...) -> (side, side, ...), zeros where the window sticks out."""
        cut = np.zeros((self.side, self.side, *pixels.shape[2:]), pixels.dtype)
        frame, window = self._overlap(pixels.shape[:2])
        cut[window] = pixels[frame]
        return cut

    def move(self, prompt: FramePrompt) -> FramePrompt:
        """The prompt in the window's pixels."""
        mask = None if prompt.mask is None else self.crop(prompt.mask)
        return replace(prompt, points_xy=prompt.points_xy - np.array([self.x, self.y], np.float32), mask=mask)

    def paste(self, logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """(side, side) logits -> (H, W) float32 of the frame; outside the window there is no object."""
        pasted = np.full(shape, NO_OBJECT_LOGIT, np.float32)
        frame, window = self._overlap(shape)
        pasted[frame] = logits[window]
        return pasted

    def cuts(self, inside: np.ndarray) -> bool:
        """Whether a mask (H, W) bool on the frame touches a border of the window that is not the frame's."""
        height, width = inside.shape
        rows, columns = self._overlap((height, width))[0]
        borders = [
            (self.y > 0, inside[rows.start, columns]),
            (self.y + self.side < height, inside[rows.stop - 1, columns]),
            (self.x > 0, inside[rows, columns.start]),
            (self.x + self.side < width, inside[rows, columns.stop - 1]),
        ]
        return any(inner and line.any() for inner, line in borders)

    def holds(self, extent: Extent) -> bool:
        """Whether all of `extent` lies in the window."""
        x0, y0, x1, y1 = extent
        return self.x <= x0 and self.y <= y0 and x1 <= self.x + self.side and y1 <= self.y + self.side

    def _overlap(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The pixels that frame and window share: as (rows, columns) of the frame, and of the window."""
        first = [max(0, self.y), max(0, self.x)]
        last = [min(shape[0], self.y + self.side), min(shape[1], self.x + self.side)]
        rows, columns = (slice(a, max(a, b)) for a, b in zip(first, last, strict=True))
        shifted = slice(rows.start - self.y, rows.stop - self.y), slice(columns.start - self.x, columns.stop - self.x)
        return (rows, columns), shifted


View = Whole | Square


def view_around(extent: Extent | None, shape: tuple[int, int], zoom: float | None) -> View:
    """A window `zoom` times as large as the larger side of `extent`, moved into the frame of (H, W) where possible.

    The whole frame where zoom or extent is None, or where the window would leave less than a tenth of it out.
    """
    if zoom is None or extent is None:
        return Whole()
    x0, y0, x1, y1 = extent
    return _square((y0 + y1) / 2, (x0 + x1) / 2, zoom * max(x1 - x0, y1 - y0), shape)


def grown(view: View, shape: tuple[int, int]) -> View:
    """A window half as large again around the same centre; the whole frame stays what it is."""
    if isinstance(view, Whole):
        return view
    return _square(view.y + view.side / 2, view.x + view.side / 2, GROWTH * view.side, shape)


def moved(view: View, inside: np.ndarray, zoom: float | None) -> View:
    """Another window for an object whose mask (H, W) bool touches the border of `view`: around what is seen of it, or
    a larger one where that is no help."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    extent = float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
    around = view_around(extent, inside.shape, zoom)  # type: ignore[arg-type]
    return grown(view, inside.shape) if around == view or around.cuts(inside) else around  # type: ignore[arg-type]


def union(extents: list[Extent]) -> Extent | None:
    """The smallest extent that holds all; None if there is none."""
    if not extents:
        return None
    corners = np.array(extents)
    return (*corners[:, :2].min(0).tolist(), *corners[:, 2:].max(0).tolist())  # type: ignore[return-value]


def _square(y: float, x: float, side: float, shape: tuple[int, int]) -> View:
    whole = int(np.clip(np.ceil(side), min(MIN_SIDE, *shape), max(shape)))
    covered = min(whole, shape[0]) * min(whole, shape[1])
    if covered > WORTH_CUTTING * shape[0] * shape[1]:
        return Whole()
    return Square(_start(y, whole, shape[0]), _start(x, whole, shape[1]), whole)


def _start(centre: float, side: int, length: int) -> int:
    """The first pixel along one axis: inside the frame where the frame is long enough, else centred on it."""
    start = round(centre - side / 2)
    return int(np.clip(start, 0, length - side)) if side <= length else (length - side) // 2
