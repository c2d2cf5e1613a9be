"""Endless labelled pictures and volumes of no organ at all: "segment what is prompted", whatever it looks like.

A case is drawn from its number alone, so a training that resumes sees what it would have seen. Shapes are blobs, tubes
that branch, nested shells, cells that touch and pieces of thresholded noise; each gets its own tone and texture.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from voxtrace.train.cases import LabelledObject, LoadedCase, find_objects

Shape = tuple[int, int, int]
LABELS_LIMIT = 40


@dataclass(slots=True)
class SynthPool:
    """A window of `size` synthetic cases that moves on by one case every `keep` asked-for draws.

    Cases 0, 2, 4... are volumes, the odd ones pictures. A case is made when first asked for and then kept a while.
    """

    seed: int
    size: int = 32
    _made: OrderedDict[int, LoadedCase] = field(default_factory=OrderedDict)

    def case(self, number: int) -> LoadedCase:
        """Synthetic case `number`: the same for the same seed, in any process."""
        if number not in self._made:
            self._made[number] = synthetic_case(np.random.default_rng([self.seed, number]), flat=number % 2 == 1)
            while len(self._made) > 2 * self.size:
                self._made.popitem(last=False)
        return self._made[number]

    def near(self, position: int, rng: np.random.Generator, flat: bool) -> LoadedCase:
        """A random case of the window that `position` has reached; `flat`: a picture, else a volume."""
        return self.case(2 * (position + int(rng.integers(self.size // 2))) + int(flat))


def synthetic_case(rng: np.random.Generator, flat: bool = False) -> LoadedCase:
    """A picture (1, H, W[, 3]) or volume (D, H, W), uint8, with its objects."""
    while True:
        shape = _random_shape(rng, flat)
        labels = _random_labels(rng, shape)
        objects = find_objects(labels, parts=False)
        whole = [one for one in objects.get("whole", []) if one.crop.sum() >= (60 if flat else 120)]
        if whole:
            break
    objects = {"whole": whole}
    frames = _painted(rng, labels, channels=3 if flat and rng.random() < 0.4 else 1)
    kind = "image" if flat else "volume"
    return LoadedCase("synthetic", "synthetic", kind, "synthetic", frames, objects, tuple(range(shape[0])))


def smooth_noise(rng: np.random.Generator, shape: Shape, period: float) -> np.ndarray:
    """(D, H, W) float32 of about unit variance, varying over `period` voxels."""
    nodes = [max(2, int(np.ceil(s / period)) + 1) if s > 1 else 1 for s in shape]
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *nodes), dtype=np.float32))
    if shape[0] == 1:
        fine = F.interpolate(coarse[:, :, 0], size=shape[1:], mode="bicubic", align_corners=True)
        return fine[0, 0].numpy()[None] * 1.4
    return F.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)[0, 0].numpy() * 1.7


def _random_shape(rng: np.random.Generator, flat: bool) -> Shape:
    if flat:
        return 1, int(rng.integers(160, 288)), int(rng.integers(160, 288))
    return int(rng.integers(20, 72)), int(rng.integers(64, 104)), int(rng.integers(64, 104))


def _random_labels(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    kinds: list[Callable[[np.random.Generator, np.ndarray], None]] = [
        _add_blobs,
        _add_tubes,
        _add_nested,
        _add_cells,
        _add_pieces,
    ]
    for index in rng.choice(len(kinds), size=int(rng.integers(1, 4)), replace=False, p=[0.3, 0.2, 0.2, 0.15, 0.15]):
        kinds[index](rng, labels)
    return labels


def _add_blobs(rng: np.random.Generator, labels: np.ndarray) -> None:
    for _ in range(int(rng.integers(1, 8))):
        box, inside = _blob(rng, labels.shape, rng.uniform(0.04, 0.3))
        labels[box][inside < 1] = _next(labels)


def _add_nested(rng: np.random.Generator, labels: np.ndarray) -> None:
    for _ in range(int(rng.integers(1, 4))):
        box, inside = _blob(rng, labels.shape, rng.uniform(0.12, 0.35))
        for limit in (1.0, *np.sort(rng.uniform(0.1, 0.7, int(rng.integers(1, 3))))[::-1]):
            labels[box][inside < limit] = _next(labels)


def _add_cells(rng: np.random.Generator, labels: np.ndarray) -> None:
    """One blob cut into touching cells: the nearest of a few seeds, distances bent by noise."""
    box, inside = _blob(rng, labels.shape, rng.uniform(0.2, 0.4))
    member = inside < 1
    places = np.argwhere(member)
    if len(places) < 200:
        return
    count = int(rng.integers(3, 16))
    seeds = places[rng.integers(len(places), size=count)].astype(np.float32)
    bend = np.stack([smooth_noise(rng, inside.shape, 8.0)[member] for _ in range(3)], -1)
    bent = torch.from_numpy(places.astype(np.float32) + bend * rng.uniform(0, 3))
    nearest = torch.cdist(bent, torch.from_numpy(seeds)).argmin(1).numpy()
    labels[box][member] = _next(labels) + nearest


def _add_pieces(rng: np.random.Generator, labels: np.ndarray) -> None:
    """Thresholded noise: each connected piece is an object."""
    noise = smooth_noise(rng, labels.shape, rng.uniform(10, 30))
    pieces, count = ndimage.label(noise > np.quantile(noise, rng.uniform(0.75, 0.93)))
    if count:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        for piece in np.argsort(-sizes)[: min(count, 12)]:
            labels[pieces == piece] = _next(labels)


def _add_tubes(rng: np.random.Generator, labels: np.ndarray) -> None:
    value = _next(labels)
    for _ in range(int(rng.integers(1, 3))):
        reach = min(labels.shape[1:])
        radius = rng.uniform(0.015, 0.06) * reach
        start = rng.uniform(0.2, 0.8, 3) * labels.shape
        _grow_tube(rng, labels, value, start, _direction(rng, labels.shape[0] == 1), radius, branches=3)
        if rng.random() < 0.5:
            value = _next(labels)


def _grow_tube(rng, labels, value, place, direction, radius, branches) -> None:  # type: ignore[no-untyped-def]
    """Stamp balls along a wandering line; a branch leaves it thinner."""
    flat = labels.shape[0] == 1
    step = max(1.0, radius * 0.8)
    for _ in range(int(rng.uniform(0.4, 1.2) * labels.shape[1] / step)):
        _stamp(labels, value, place, radius)
        direction = direction + _direction(rng, flat) * 0.25
        direction = direction / np.linalg.norm(direction)
        place = place + direction * step
        radius = np.clip(radius * np.exp(rng.normal(0, 0.03)), 1.0, 10.0)
        if (place < 0).any() or (place >= labels.shape).any():
            return
        if branches and rng.random() < 0.04:
            branches -= 1
            _grow_tube(rng, labels, value, place, _direction(rng, flat) + direction, radius * 0.75, branches)


def _stamp(labels: np.ndarray, value: int, place: np.ndarray, radius: float) -> None:
    low = np.maximum(np.floor(place - radius).astype(int), 0)
    high = np.minimum(np.ceil(place + radius).astype(int) + 1, labels.shape)
    if (low >= high).any():
        return
    z, y, x = (np.arange(a, b) - p for a, b, p in zip(low, high, place, strict=True))
    ball = (z**2)[:, None, None] + (y**2)[:, None] + x**2 <= radius**2
    labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]][ball] = value


def _blob(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> tuple[tuple[slice, ...], np.ndarray]:
    """A warped ellipsoid: (its box, a field there that is below 1 inside). `size`: radius as a share of the frame."""
    flat = shape[0] == 1
    radius = np.maximum(size * min(shape[1:]) * np.exp(rng.normal(0, 0.3, 3)), 3.0)
    radius[0] = min(radius[0], 0.45 * shape[0]) if not flat else 1.0
    centre = rng.uniform(0.1, 0.9, 3) * shape if not flat else np.array([0, *(rng.uniform(0.1, 0.9, 2) * shape[1:])])
    reach = radius.max() * 1.35 if not flat else radius[1:].max() * 1.35
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, shape)
    box = tuple(slice(int(a), int(max(b, a + 1))) for a, b in zip(low, high, strict=True))
    offsets = [np.arange(b.start, b.stop, dtype=np.float32) - np.float32(c) for b, c in zip(box, centre, strict=True)]
    turn = _rotation(rng, flat) / radius[:, None]
    z, y, x = offsets[0][:, None, None], offsets[1][:, None], offsets[2]
    inside = sum((np.float32(row[0]) * z + np.float32(row[1]) * y + np.float32(row[2]) * x) ** 2 for row in turn)
    field = np.asarray(inside, np.float32)
    lumps = smooth_noise(rng, field.shape, max(6.0, float(radius[1:].mean()) * rng.uniform(0.5, 1.2)))  # type: ignore[arg-type]
    return box, field * np.exp(lumps * np.float32(rng.uniform(0, 0.5)))


def _painted(rng: np.random.Generator, labels: np.ndarray, channels: int) -> np.ndarray:
    """Tones and textures for every label and for two to four unlabelled tissues behind them; uint8."""
    shape: Shape = labels.shape  # type: ignore[assignment]
    tissues = int(rng.integers(1, 5))
    ground = smooth_noise(rng, shape, rng.uniform(15, 50))
    regions = np.digitize(ground, np.linspace(-1, 1, tissues + 1)[1:-1]) if tissues > 1 else np.zeros(shape, np.int64)
    regions = np.where(labels > 0, labels + tissues - 1, regions)
    tones = _palette(rng, tissues, int(labels.max()), channels)
    texture = _texture(rng, shape)
    rough = (rng.uniform(0, 0.09) * np.exp(rng.normal(0, 0.5, len(tones)))).astype(np.float32)
    image = tones[regions] + (texture * rough[regions])[..., None]
    sharp = rng.uniform(0, 1.2)
    if sharp > 0.3:
        reach = (0 if shape[0] == 1 else rng.uniform(0, 1) * sharp, sharp, sharp, 0)
        image = ndimage.gaussian_filter(image, reach, truncate=2.0)
    image = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.05))
    image = (image * 255).clip(0, 255).astype(np.uint8)
    return image if channels == 3 else image[..., 0]


def _palette(rng: np.random.Generator, tissues: int, labels: int, channels: int) -> np.ndarray:
    """(tissues + labels, channels) float32; objects mostly share a tone that differs from every tissue's."""
    ground = rng.uniform(0.05, 0.95, (1, channels)) + rng.normal(0, 0.12, (tissues, channels))
    step = rng.choice([-1, 1]) * rng.uniform(0.08, 0.45)
    own = ground.mean(0) + step + rng.normal(0, 0.15 if rng.random() < 0.6 else 0.03, (labels, channels))
    close = np.abs(own[:, None] - ground[None]).max(-1).min(1) < 0.05
    own[close] += 0.12 * np.sign(step)
    return np.concatenate([ground, own]).clip(0.02, 0.98).astype(np.float32)


def _texture(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    return smooth_noise(rng, shape, rng.uniform(2, 5)) * 0.7 + smooth_noise(rng, shape, rng.uniform(5, 15)) * 0.7


def _next(labels: np.ndarray) -> int:
    return min(int(labels.max()) + 1, LABELS_LIMIT)


def _direction(rng: np.random.Generator, flat: bool) -> np.ndarray:
    direction = rng.normal(size=3) * ([0, 1, 1] if flat else [1, 1, 1])
    return direction / np.linalg.norm(direction)


def _rotation(rng: np.random.Generator, flat: bool) -> np.ndarray:
    """A random rotation matrix in zyx; in the plane only where there is one slice."""
    if flat:
        angle = rng.uniform(0, np.pi)
        return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


__all__ = ["LabelledObject", "SynthPool", "smooth_noise", "synthetic_case"]
