"""What is timed: a made-up volume, a box for each object on the middle slice, followed in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as the published scripts normalise


@dataclass(frozen=True, slots=True)
class Work:
    """slices of side x side pixels with `objects` balls in them. separately: a pass over the volume for each object, as
    published scripts do it."""

    slices: int = 32
    side: int = 512
    objects: int = 1
    separately: bool = False

    @property
    def middle(self) -> int:
        """The slice that is marked."""
        return self.slices // 2

    def boxes(self) -> list[tuple[int, int, int, int]]:
        """(y0, x0, y1, x1), half-open, of each object on the middle slice; even numbers, up to 9 that do not touch."""
        half = self.side // 9 // 2 * 2
        centres = [(row, column) for row in (1, 2, 3) for column in (1, 2, 3)]
        centres.sort(key=lambda c: abs(c[0] - 2) + abs(c[1] - 2))  # the one in the middle first
        found = []
        for row, column in centres[: self.objects]:
            y, x = row * self.side // 8 * 2, column * self.side // 8 * 2
            found.append((y - half, x - half, y + half, x + half))
        return found

    def volume(self) -> np.ndarray:
        """(slices, side, side) uint8: bright balls in noise, each somewhat smaller than its box."""
        random = np.random.default_rng(0)
        scan = random.normal(80, 15, (self.slices, self.side, self.side)).astype(np.float32)
        z, y, x = np.ogrid[: self.slices, : self.side, : self.side]
        for number, (y0, x0, y1, x1) in enumerate(self.boxes()):
            radius = 0.45 * (y1 - y0)
            depth = (z - self.middle) / (0.45 * self.slices)
            inside = depth**2 + ((y - (y0 + y1) / 2) / radius) ** 2 + ((x - (x0 + x1) / 2) / radius) ** 2 < 1
            scan += (60 + 10 * number) * inside
        return np.clip(scan, 0, 255).astype(np.uint8)

    def normalised(self) -> np.ndarray:
        """(slices, 3, side, side) float32: the frames as the published nets take them."""
        grey = self.volume()[:, None].astype(np.float32) / 255
        mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (MEAN, STD))
        return (grey - mean) / std


def mean_iou(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean IoU of masks (objects, slices, H, W), over all objects and slices; 1 where both are empty."""
    both = (ours & theirs).sum((2, 3))
    either = (ours | theirs).sum((2, 3))
    return float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())
