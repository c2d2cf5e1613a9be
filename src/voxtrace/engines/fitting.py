"""How the nets of single images see a frame: squashed to a square, or scaled by its longest side. In numpy.

Both stretch a frame's own grey values to [0, 1] after scaling. `Squash` is MedSAM's way, `PadLongest` LiteMedSAM's.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from voxtrace.engines.resizing import resize

Maps = TypeVar("Maps")  # (N, 1, h, w): numpy's or PyTorch's


class Fit(Protocol):
    """carried_margin: pixels of the net, as published, around the box of the last slice's mask."""

    carried_margin: int

    def scale_xy(self, shape: tuple[int, int]) -> np.ndarray:
        """(2,): net pixels a pixel of a frame of (H, W)."""
        ...

    def image(self, frame: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (1, 3, S, S) float32, 0..1."""
        ...

    def crop(self, logits: Maps, shape: tuple[int, int]) -> Maps:
        """The part of (N, 1, h, w) that shows a frame of (H, W)."""
        ...


class Squash:
    """MedSAM's fit: the frame becomes the net's square, whatever its shape."""

    carried_margin = 5

    def __init__(self, size: int) -> None:
        self.size = size

    def scale_xy(self, shape: tuple[int, int]) -> np.ndarray:
        """As Fit."""
        return np.array([self.size / shape[1], self.size / shape[0]], np.float32)

    def image(self, frame: np.ndarray) -> np.ndarray:
        """As Fit."""
        # Differs from MedSAM (MedSAM_Inference.py): skimage's cubic splines there, PyTorch's cubic convolution here.
        image = resize(frame.transpose(2, 0, 1), (self.size, self.size), kind="bicubic")
        # Whole grey values, as there; and the rounding error of a constant image must not be stretched.
        return stretched(np.clip(np.round(image), 0, 255))[None]

    def crop(self, logits: Maps, shape: tuple[int, int]) -> Maps:
        """All of it."""
        return logits


class PadLongest:
    """LiteMedSAM's fit: the longest side becomes the net's, the shorter one is filled up with zeros."""

    carried_margin = 3

    def __init__(self, size: int) -> None:
        self.size = size

    def scale_xy(self, shape: tuple[int, int]) -> np.ndarray:
        """As Fit; the same in both directions."""
        return np.full(2, self.size / max(shape), np.float32)

    def image(self, frame: np.ndarray) -> np.ndarray:
        """As Fit."""
        rows, columns = self.inner(frame.shape[:2])
        # Averages over areas, rounded to whole grey values: what OpenCV's INTER_AREA gave in training.
        down, across = area_weights(frame.shape[0], rows), area_weights(frame.shape[1], columns)
        scaled = down @ frame.transpose(2, 0, 1).astype(np.float32) @ across.T
        image = np.zeros((1, 3, self.size, self.size), np.float32)
        image[0, :, :rows, :columns] = stretched(np.floor(scaled + np.float32(0.5)))
        return image

    def crop(self, logits: Maps, shape: tuple[int, int]) -> Maps:
        """Without the padding."""
        size = logits.shape[-1]  # type: ignore[attr-defined]
        rows, columns = (max(1, round(side * size / self.size)) for side in self.inner(shape))
        return logits[..., :rows, :columns]  # type: ignore[index]

    def inner(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the net that a frame of (H, W) takes."""
        rows, columns = (max(1, int(side * self.size / max(shape) + 0.5)) for side in shape)
        return rows, columns


def stretched(image: np.ndarray) -> np.ndarray:
    """An image's own values to [0, 1], all channels together; a constant image becomes 0."""
    low, high = image.min(), image.max()
    return (image - low) / max(high - low, np.float32(1e-8))


def area_weights(size: int, size_out: int) -> np.ndarray:
    """(size_out, size) float32: how much of each new pixel every old one covers; rows sum to 1."""
    scale = size / size_out
    new, old = np.arange(size_out)[:, None] * scale, np.arange(size)
    covered = np.minimum(new + scale, old + 1) - np.maximum(new, old)
    return (np.maximum(covered, 0) / scale).astype(np.float32)
