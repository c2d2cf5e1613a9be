"""Trees of vessels: calibres by Murray's law, from a trunk at the frame's edge or within it to the last visible twig.

Where a vessel of radius r parts into r1 and r2, r^3 = r1^3 + r2^3, and the thinner branch leaves at the wider angle
(Murray 1926, doi:10.1085/jgp.9.6.835).
"""

from __future__ import annotations

import numpy as np

from voxtrace.train.synth.canvas import Canvas, direction

THINNEST = 0.7  # voxels; thinner twigs are not seen
POINTS_LIMIT = 1500
BATCH = 400_000  # distances computed at once


def trees(rng: np.random.Generator, canvas: Canvas) -> None:
    """One tree or two, as arteries and veins; each is one object."""
    reach = min(canvas.shape[1:])
    for _ in range(int(rng.integers(1, 3))):
        if canvas.full:
            return
        radius = max(1.2, float(np.exp(rng.uniform(np.log(0.012), np.log(0.05)))) * reach)
        centres, radii = _grown(rng, canvas, radius, wander=rng.uniform(0.05, 0.3))
        _stamp(canvas.labels, canvas.add(canvas.group()), centres, radii)


def tubes(rng: np.random.Generator, canvas: Canvas) -> None:
    """Winding tubes without branches, as bowels, ducts and catheters; each is one object."""
    reach = min(canvas.shape[1:])
    group = canvas.group()
    for _ in range(int(rng.integers(1, 4))):
        if canvas.full:
            return
        radius = rng.uniform(0.015, 0.07) * reach
        centres, radii = _grown(rng, canvas, radius, wander=rng.uniform(0.1, 0.45), branching=False)
        _stamp(canvas.labels, canvas.add(group), centres, radii)


def _grown(
    rng: np.random.Generator, canvas: Canvas, radius: float, wander: float, branching: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) along all branches and their radii (N,)."""
    shape, flat = np.array(canvas.shape), canvas.flat
    start, heading = _entry(rng, shape, flat, at_edge=rng.random() < 0.6)
    todo = [(start, heading, radius)]
    centres: list[np.ndarray] = []
    radii: list[float] = []
    while todo and len(centres) < POINTS_LIMIT:
        place, heading, radius = todo.pop(0)
        step = max(0.6 * radius, 0.7)
        length = max(8.0, radius * rng.uniform(6, 20)) if branching else rng.uniform(0.5, 1.6) * shape[1]
        steps = int(length / step)
        bends = rng.normal(size=(steps, 3)) * ([0, 1, 1] if flat else [1, 1, 1]) * wander
        for bend in bends:
            heading = heading + bend
            heading = heading / np.linalg.norm(heading)
            place = place + heading * step
            if (place < -radius).any() or (place > shape + radius).any():
                break
            centres.append(place)
            radii.append(radius)
            radius *= 0.996
        else:
            if branching:
                todo += _parted(rng, place, heading, radius, flat)
    return np.array(centres or [start], np.float32), np.array(radii or [1.0], np.float32)


def _parted(rng: np.random.Generator, place: np.ndarray, heading: np.ndarray, radius: float, flat: bool) -> list:
    """The branches at a fork that are thick enough to be seen."""
    share = rng.uniform(0.15, 0.5)  # of the flow, in the thinner one
    aside = direction(rng, flat)
    aside = aside - heading * (aside @ heading)
    aside = aside / max(np.linalg.norm(aside), 1e-6)
    found = []
    for flow, side in ((1 - share, -1), (share, 1)):
        angle = (1 - flow) * rng.uniform(0.7, 1.5)
        found.append((place, heading * np.cos(angle) + side * aside * np.sin(angle), radius * flow ** (1 / 3)))
    return [one for one in found if one[2] >= THINNEST]


def _entry(rng: np.random.Generator, shape: np.ndarray, flat: bool, at_edge: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where a tree begins and whither it grows."""
    place = rng.uniform(0.25, 0.75, 3) * shape
    if flat:
        place[0] = 0.0
    if not at_edge:
        return place, direction(rng, flat)
    axis = int(rng.integers(1, 3))
    far = bool(rng.random() < 0.5)
    heading = direction(rng, flat) * 0.4
    heading[axis] += -1.0 if far else 1.0
    place[axis] = shape[axis] - 1 if far else 0
    return place, heading / np.linalg.norm(heading)


def _stamp(labels: np.ndarray, value: int, centres: np.ndarray, radii: np.ndarray) -> None:
    """Set all voxels that lie within a radius of its centre; balls of about one size together."""
    flat = labels.shape[0] == 1
    for reach in np.unique(np.ceil(radii).astype(int)):
        members = np.ceil(radii) == reach
        side = np.arange(-reach, reach + 1)
        offsets = np.stack(np.meshgrid([0] if flat else side, side, side, indexing="ij"), -1).reshape(-1, 3)
        per = max(1, BATCH // len(offsets))
        own, sizes = centres[members], radii[members]
        for first in range(0, len(own), per):
            near = np.rint(own[first : first + per]).astype(np.int32)
            voxels = near[:, None] + offsets
            apart = voxels - own[first : first + per, None]
            inside = np.einsum("nmk,nmk->nm", apart, apart) <= np.square(sizes[first : first + per, None])
            z, y, x = voxels[inside].T
            held = (
                (z >= 0) & (y >= 0) & (x >= 0) & (z < labels.shape[0]) & (y < labels.shape[1]) & (x < labels.shape[2])
            )
            labels[z[held], y[held], x[held]] = value
