"""Ordered frames, (H, W, 3) uint8 on demand: a volume's slices, a picture, a set of pictures, a cut-out of any of them.

A video's frames are `Video.frames`. Indices count from 0; a negative one is a mistake and an IndexError.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxtrace.errors import InputError
from voxtrace.io.picture import pictures_in
from voxtrace.io.reading import read
from voxtrace.mapped import is_mapped, let_go, require_unchanged, slabs
from voxtrace.scratch import zeros
from voxtrace.volume import Frames, Picture, Volume
from voxtrace.windowing import Window, automatic, grey_rgb


class VolumeFrames:
    """The slices of a volume along an axis (0 z, 1 y, 2 x); rows and columns are the other two axes in order.

    The window (None: the automatic one) is settled on the whole volume, so that all slices are shown alike. A volume in
    a file is read slice by slice; across its slices (axis 1 or 2) through a scratch file with all frames in grey, made
    when the first one is asked for: otherwise each would be read from all over the file.
    """

    def __init__(self, volume: Volume, window: Window | None = None, axis: int = 0) -> None:
        if axis not in (0, 1, 2):
            raise InputError(f"a volume has the axes 0 (z), 1 (y), 2 (x); there is no {axis}")
        self.window: Window = window or automatic(volume)
        self.axis = axis
        self._array = volume.array
        self._limits = self.window.limits(volume.array)
        self._laid_out: np.ndarray | None = None  # (F, H, W) uint8

    def __len__(self) -> int:
        return self._array.shape[self.axis]

    def __getitem__(self, index: int) -> np.ndarray:
        _inside(index, len(self))
        if self.axis == 0 or not is_mapped(self._array):
            require_unchanged(self._array)
            grey = self._limits.apply(self._array.take(index, self.axis))
            let_go(self._array)
            return grey_rgb(grey)
        if self._laid_out is None:
            self._laid_out = self._lay_out()
        frame = grey_rgb(self._laid_out[index])
        let_go(self._laid_out)
        return frame

    def _lay_out(self) -> np.ndarray:
        """All frames one after another."""
        shape = np.moveaxis(self._array, self.axis, 0).shape
        frames = zeros(shape, np.uint8)
        for start, part in slabs(self._array):
            frames[:, start : start + len(part)] = np.moveaxis(self._limits.apply(part), self.axis, 0)
            let_go(frames)
        return frames


class PictureFrames:
    """One picture as a walk of one frame."""

    def __init__(self, picture: Picture, window: Window | None = None) -> None:
        self.window: Window = window or automatic(picture)
        self._frame = grey_rgb(self.window.apply(picture.pixels))

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> np.ndarray:
        _inside(index, 1)
        return self._frame


class ImageSet:
    """Pictures of any sizes, each read when asked for and shown in its own automatic window (or `window`)."""

    def __init__(self, paths: Sequence[str | Path], window: Window | None = None) -> None:
        self.paths = tuple(Path(path) for path in paths)
        self.window = window

    @classmethod
    def of_folder(cls, folder: str | Path, window: Window | None = None) -> ImageSet:
        """All pictures in a folder, frame2 before frame10; InputError if there is none."""
        if not Path(folder).is_dir():
            raise InputError(f"{folder} is not a folder of pictures")
        paths = pictures_in(Path(folder))
        if not paths:
            raise InputError(f"{folder} holds no picture (PNG, JPEG, BMP, TIFF)")
        return cls(paths, window)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        picture = self.picture(index)
        return grey_rgb((self.window or automatic(picture)).apply(picture.pixels))

    def picture(self, index: int) -> Picture:
        """Picture `index` as it is stored."""
        path = self.paths[_inside(index, len(self))]
        scan = read(path)
        if not isinstance(scan, Picture):
            raise InputError(f"{path} is a {type(scan).__name__.lower()}; a set of images holds pictures")
        return scan


class Cropped:
    """A window (y0, x0, h, w) of every frame of another set of frames."""

    def __init__(self, frames: Frames, window: tuple[int, int, int, int]) -> None:
        self.frames = frames
        self.window = window

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        y, x, h, w = self.window
        frame = self.frames[index]
        if min(y, x) < 0 or min(h, w) < 1 or y + h > frame.shape[0] or x + w > frame.shape[1]:
            raise InputError(f"the cut-out y={y}..{y + h}, x={x}..{x + w} is not inside a frame of {frame.shape[:2]}")
        return np.ascontiguousarray(frame[y : y + h, x : x + w])


def _inside(index: int, count: int) -> int:
    if not 0 <= index < count:
        raise IndexError(f"frame {index} is not there; frames are 0..{count - 1}")
    return index
