"""Labels as they are drawn: a later object covers an earlier one, so none overlap."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from voxtrace.train.synth.fields import Shape

LABELS_LIMIT = 48
Box = tuple[slice, ...]


@dataclass(slots=True)
class Canvas:
    """labels: (D, H, W) int32, 0 where nothing is drawn. groups: of label i + 1 at i; objects of a group look alike.

    seamed: groups whose members touch each other and are parted by a seam.
    """

    labels: np.ndarray
    groups: list[int] = field(default_factory=list)
    seamed: set[int] = field(default_factory=set)

    @classmethod
    def blank(cls, shape: Shape) -> Canvas:
        """Nothing drawn yet."""
        return cls(np.zeros(shape, np.int32))

    @property
    def shape(self) -> Shape:
        """(D, H, W)."""
        return self.labels.shape  # type: ignore[return-value]

    @property
    def flat(self) -> bool:
        """Whether there is one slice only."""
        return self.labels.shape[0] == 1

    @property
    def full(self) -> bool:
        """Whether there is no room for another label."""
        return len(self.groups) >= LABELS_LIMIT

    def group(self) -> int:
        """A new group's number."""
        return max(self.groups, default=-1) + 1

    def add(self, group: int) -> int:
        """A new label of `group`; the last one again where no more are free."""
        if not self.full:
            self.groups.append(group)
        return len(self.groups)

    def fill(self, box: Box, inside: np.ndarray, group: int) -> None:
        """Draw a new object of `group` where `inside` is true within `box`."""
        if not self.full and inside.any():
            self.labels[box][inside] = self.add(group)


def ellipsoid(
    rng: np.random.Generator, shape: Shape, size: float, lumps: float | None = None, stretch: float = 0.3
) -> tuple[Box, np.ndarray]:
    """A warped ellipsoid: (its box, a field there that is below 1 inside: the squared distance in radii).

    size: radius as a share of the frame; lumps: how far the surface is bent; stretch: how unlike the radii are.
    """
    from voxtrace.train.synth.fields import smooth_noise

    flat = shape[0] == 1
    radius = np.maximum(size * min(shape[1:]) * np.exp(rng.normal(0, stretch, 3)), 3.0)
    radius[0] = 1.0 if flat else min(radius[0], 0.45 * shape[0])
    place = rng.uniform(0.1, 0.9, 3) * shape
    centre = np.array([0.0, *place[1:]]) if flat else place
    reach = radius[int(flat) :].max() * 1.35
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, shape)
    box = tuple(slice(int(a), int(max(b, a + 1))) for a, b in zip(low, high, strict=True))
    z, y, x = grid(box, centre)
    turn = (rotation(rng, flat) / radius[:, None]).astype(np.float32)
    field = np.asarray(sum((row[0] * z + row[1] * y + row[2] * x) ** 2 for row in turn), np.float32)
    period = max(6.0, float(radius[1:].mean()) * rng.uniform(0.5, 1.2))
    bent = smooth_noise(rng, field.shape, period)  # type: ignore[arg-type]
    return box, field * np.exp(bent * np.float32(rng.uniform(0, 0.5) if lumps is None else lumps))


def grid(box: Box, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, y, x offsets from `centre` over `box`, to be broadcast; float32."""
    offsets = [np.arange(b.start, b.stop, dtype=np.float32) - np.float32(c) for b, c in zip(box, centre, strict=True)]
    return offsets[0][:, None, None], offsets[1][:, None], offsets[2]


def direction(rng: np.random.Generator, flat: bool) -> np.ndarray:
    """A random unit vector in zyx; in the plane where there is one slice."""
    found = rng.normal(size=3) * ([0, 1, 1] if flat else [1, 1, 1])
    return found / np.linalg.norm(found)


def rotation(rng: np.random.Generator, flat: bool) -> np.ndarray:
    """A random rotation matrix in zyx; in the plane only where there is one slice."""
    if flat:
        angle = rng.uniform(0, np.pi)
        return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]
