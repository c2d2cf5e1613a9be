"""How a frame is turned so that a radiologist reads it as usual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class View:
    """How a frame's (row, column) pixels lie on the screen. letters: left, right, top, bottom of the screen, or ''."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    letters: tuple[str, str, str, str] = ("", "", "", "")

    def pixels(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, ...) as in the file -> as on the screen."""
        frame = frame.swapaxes(0, 1) if self.transposed else frame
        frame = frame[::-1] if self.flip_rows else frame
        return frame[:, ::-1] if self.flip_columns else frame

    def places(self, rows_columns: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """(N, 2) pixel edges (row, column) of a frame of `shape` (H, W) -> (N, 2) (row, column) on the screen."""
        places = np.asarray(rows_columns, np.float64)
        size = np.array(shape, float)
        if self.transposed:
            places, size = places[:, ::-1], size[::-1]
        flips = np.array([self.flip_rows, self.flip_columns])
        return np.where(flips, size - places, places)

    def size_mm(self, pixel_mm: tuple[float, float]) -> tuple[float, float]:
        """(row, column) spacing in the file -> on the screen."""
        return pixel_mm[::-1] if self.transposed else pixel_mm  # type: ignore[return-value]


def view_of(affine_lps: np.ndarray, axis: int = 0) -> View:
    """The view in which the slices along `axis` of a (z, y, x) array are read by a radiologist."""
    directions = affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)
    row, column = (directions[:, 2 - a] for a in range(3) if a != axis)
    along = [int(np.abs(vector).argmax()) for vector in (row, column)]
    if along[0] == along[1]:
        return View()  # turned by 45 degrees: as it is in the file
    # Down the screen: posterior for axial slices, inferior for the others. Across: the patient's left, or posterior.
    down = 2 if 2 in along else 1
    transposed = along[0] != down
    first, second = (column, row) if transposed else (row, column)
    across = int(np.abs(second).argmax())
    flip_rows = (first[down] > 0) == (down == 2)
    flip_columns = second[across] < 0
    left_right = ("R", "L") if across == 0 else ("A", "P")
    top_bottom = ("H", "F") if down == 2 else ("A", "P")
    return View(transposed, bool(flip_rows), bool(flip_columns), (*left_right, *top_bottom))
