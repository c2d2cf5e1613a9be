"""What an object looks like, where nothing tells its place: a rough mask from the colours of pictures that show it.

A pixel belongs to the object if its colour is nearer to those inside the masks of the pictures shown than to those
outside. That is drawn only where it is enough to find the object again on the first of these pictures: stained nuclei
are told by their colour, nerves in ultrasound are not. A hinted net takes it as a mask to improve.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtrace.engines.resizing import resize

SIDE = 128  # pictures are looked at in no more pixels
SAMPLES = 512  # colours inside, and as many outside
NEIGHBOURS = 5
SOFTNESS = 0.1  # distance, in standard deviations, below which two colours are not told apart
GAIN = 60.0  # of a difference of distances, relative to their sum, to logits
SURE = 10.0
RELIABLE = 0.8  # Dice on the first picture


def looks(image: np.ndarray, shown: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Rough masks of N objects and whether each can be relied on: logits (N, 1, S, S) within +-10 and (N,) bool.

    image: (1 or N, 3, S, S); shown: masks' logits (N, 1, S, S) and their pictures (1 or N, 3, S, S), the one by which
    reliability is judged first. Where a mask is empty or full nothing can be compared: logits 0, not reliable.
    """
    count = len(shown[0][0])
    drawn = np.zeros((count, 1, *image.shape[-2:]), np.float32)
    reliable = np.zeros(count, bool)
    for index in range(count):
        own = _colours(image[index % len(image)])
        known = [(_colours(picture[index % len(picture)]), _small(logits[index])[0] > 0) for logits, picture in shown]
        found = _drawn(own, known)
        if found is not None:
            drawn[index, 0], reliable[index] = resize(found[0], image.shape[-2:]), found[1]
    return np.clip(GAIN * drawn, -SURE, SURE), reliable


def _drawn(own: np.ndarray, known: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, bool] | None:
    """One object in -1..1, (h, w), and whether it is reliable; None where there are too few colours to compare."""
    inside, outside = (
        np.concatenate([_sample(colours[:, where == side], SAMPLES // len(known)) for colours, where in known])
        for side in (True, False)
    )
    if min(len(inside), len(outside)) <= NEIGHBOURS:
        return None
    first, mask = known[0]
    first, mask = first[:, ::2, ::2], mask[::2, ::2]  # a quarter of the pixels is enough to judge by
    again = _nearer(first, inside, outside, skip=1) > 0
    overlap = 2 * int((again & mask).sum()) >= RELIABLE * int(again.sum() + mask.sum())
    return _nearer(own, inside, outside, skip=0), overlap


def _nearer(colours: np.ndarray, inside: np.ndarray, outside: np.ndarray, skip: int) -> np.ndarray:
    """(3, h, w) -> (h, w) in -1..1, smoothed over 3 x 3 pixels: how much nearer each is to the colours inside (n, 3)
    than to those outside. skip: nearest ones left out, 1 where pixels are among the samples themselves."""
    from scipy.spatial import cKDTree  # imported at need: only sets ask for looks

    pixels = colours.reshape(3, -1).T
    nearest = range(1 + skip, 1 + skip + NEIGHBOURS)
    to_inside, to_outside = (cKDTree(samples).query(pixels, k=nearest)[0].mean(1) for samples in (inside, outside))
    nearer = (to_outside - to_inside) / (to_outside + to_inside + SOFTNESS)
    return _smoothed(nearer.reshape(colours.shape[1:]).astype(np.float32))


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The mean of each 3 x 3 pixels of (h, w); the border repeats."""
    padded = np.pad(values, 1, mode="edge")
    down = padded[:-2] + padded[1:-1] + padded[2:]
    return (down[:, :-2] + down[:, 1:-1] + down[:, 2:]) / np.float32(9)


def _colours(picture: np.ndarray) -> np.ndarray:
    """(3, S, S) -> (3, h, w), each channel of mean 0 and deviation 1: one stain or lamp is not like the other."""
    picture = _small(picture.astype(np.float32, copy=False))
    mean, spread = picture.mean((1, 2), keepdims=True), picture.std((1, 2), keepdims=True, ddof=1)
    return (picture - mean) / (spread + np.float32(0.1))


def _small(picture: np.ndarray) -> np.ndarray:
    """(C, S, S) with S at most SIDE: means over areas."""
    size = picture.shape[-1]
    if size <= SIDE:
        return picture
    edges = np.arange(SIDE + 1) * size
    start, stop = edges[:-1] // SIDE, -(-edges[1:] // SIDE)  # areas may share a line, as PyTorch's do
    places = np.arange(size)
    weights = ((places >= start[:, None]) & (places < stop[:, None])) / (stop - start)[:, None].astype(np.float32)
    return (weights @ picture @ weights.T).astype(np.float32)


def _sample(colours: np.ndarray, count: int) -> np.ndarray:
    """(3, n) -> at most (count, 3), evenly spread."""
    total = colours.shape[1]
    count = min(count, total)
    return colours[:, np.arange(count) * (total - 1) // max(count - 1, 1)].T
