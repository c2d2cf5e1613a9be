"""Things without holes: blobs, shells in shells, crowds of alike things that touch, pieces of thresholded noise."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from voxtrace.train.synth.canvas import Canvas, ellipsoid, rotation
from voxtrace.train.synth.fields import smooth_noise


def blobs(rng: np.random.Generator, canvas: Canvas) -> None:
    """One to seven lumps, alike or not."""
    alike = rng.random() < 0.4
    group = canvas.group()
    for _ in range(int(rng.integers(1, 8))):
        box, inside = ellipsoid(rng, canvas.shape, rng.uniform(0.04, 0.3))
        canvas.fill(box, inside < 1, group)
        group = group if alike else canvas.group()


def nested(rng: np.random.Generator, canvas: Canvas) -> None:
    """Lumps with one or two others inside."""
    for _ in range(int(rng.integers(1, 4))):
        box, inside = ellipsoid(rng, canvas.shape, rng.uniform(0.12, 0.35))
        for limit in (1.0, *np.sort(rng.uniform(0.1, 0.7, int(rng.integers(1, 3))))[::-1]):
            canvas.fill(box, inside < limit, canvas.group())


def cells(rng: np.random.Generator, canvas: Canvas) -> None:
    """One blob cut into touching cells: the nearest of a few seeds, distances bent by noise."""
    box, inside = ellipsoid(rng, canvas.shape, rng.uniform(0.15, 0.35))
    member = inside < 1
    places = np.argwhere(member)
    if len(places) < 200:
        return
    seeds = places[rng.integers(len(places), size=int(rng.integers(3, 16)))].astype(np.float32)
    bend = np.stack([smooth_noise(rng, inside.shape, 8.0)[member] for _ in range(3)], -1)  # type: ignore[arg-type]
    bent = torch.from_numpy(places.astype(np.float32) + bend * np.float32(rng.uniform(0, 3)))
    nearest = torch.cdist(bent, torch.from_numpy(seeds)).argmin(1).numpy()
    _fill_each(canvas, box, member, nearest, len(seeds), seamed=True)


def crowd(rng: np.random.Generator, canvas: Canvas) -> None:
    """Alike ellipsoids of one size and much the same direction, side by side as nuclei, follicles or vertebrae are."""
    side = min(canvas.shape[1:])
    radius = rng.uniform(0.05, 0.11) * side
    shape = np.array(canvas.shape)
    extent = np.minimum(radius * rng.uniform(4, 9, 3), shape)
    low = np.floor(rng.uniform(0, 1, 3) * (shape - extent)).astype(int)
    box = tuple(slice(int(a), int(min(a + max(e, 1), s))) for a, e, s in zip(low, extent, shape, strict=True))
    sizes = np.array([b.stop - b.start for b in box])
    seeds = _apart(rng, sizes, radius * rng.uniform(1.1, 1.9), canvas.flat)
    axes = np.array([1.0, *(1.0 + rng.uniform(-0.35, 0.35, 2))]) * radius
    turn = torch.from_numpy((rotation(rng, canvas.flat) / axes[:, None]).astype(np.float32))
    places = np.stack(np.meshgrid(*(np.arange(s, dtype=np.float32) for s in sizes), indexing="ij"), -1).reshape(-1, 3)
    own = torch.from_numpy(np.exp(rng.normal(0, 0.12, len(seeds))).astype(np.float32))
    far = torch.cdist(torch.from_numpy(places) @ turn.T, torch.from_numpy(seeds) @ turn.T) / own
    nearest = far.min(1)
    bent = nearest.values.numpy().reshape(sizes) * np.exp(0.12 * smooth_noise(rng, tuple(sizes), max(4.0, radius)))
    member = bent < 1
    _fill_each(canvas, box, member, nearest.indices.numpy().reshape(sizes)[member], len(seeds), seamed=True)


def pieces(rng: np.random.Generator, canvas: Canvas) -> None:
    """Thresholded noise: each of the largest connected pieces is an object."""
    noise = smooth_noise(rng, canvas.shape, rng.uniform(10, 30))
    found, count = ndimage.label(noise > np.quantile(noise[:, ::2, ::2], rng.uniform(0.75, 0.93)))
    sizes = np.bincount(found.ravel())
    sizes[0] = 0
    group = canvas.group()
    boxes = ndimage.find_objects(found)
    for piece in np.argsort(-sizes)[: min(count, 12)]:
        box = boxes[piece - 1]
        canvas.fill(box, found[box] == piece, group)


def _fill_each(canvas: Canvas, box: tuple, member: np.ndarray, index: np.ndarray, count: int, seamed: bool) -> None:
    """Draw the members of a new group; index (n,): to which of `count` each voxel of `member` belongs."""
    group = canvas.group()
    values = np.array([canvas.add(group) for _ in range(count)], np.int32)
    canvas.labels[box][member] = values[index]
    if seamed:
        canvas.seamed.add(group)


def _apart(rng: np.random.Generator, sizes: np.ndarray, distance: float, flat: bool) -> np.ndarray:
    """(N, 3) float32 places in a box, no two nearer than `distance`; at least one, at most 16."""
    found: list[np.ndarray] = []
    margin = np.minimum(0.7 * distance, 0.45 * sizes)  # or the crowd would end in a straight line
    for place in rng.uniform(margin, sizes - margin, (60, 3)):
        place = place * [not flat, 1, 1]
        if all(np.square(place - other).sum() > distance**2 for other in found):
            found.append(place)
    return np.array(found[:16], np.float32)
