"""GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004) from a box, on scipy's maximum flow.

Outside the box is background for good. Inside, two Gaussian mixtures of colour are learnt in turn from the labels and
the labels from them, by a minimum cut that would rather run along edges. Differs from the paper: pixels are assigned to
components softly, and a large region is worked on at a reduced size.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from voxtrace.bench.region import Region
from voxtrace.prompts import Box

COMPONENTS, ROUNDS = 5, 5
GAMMA = 50.0  # weight of edges, as in the paper
SCALE = 16  # capacities are whole numbers
FORBIDDEN = 10**6


def grabcut(frame: np.ndarray, box: Box) -> np.ndarray:
    """(H, W) bool inside the box. frame: (H, W, 3) uint8."""
    region = Region.around(box, frame.shape[:2])
    return region.whole(_cut_in_turn(region.part(frame).astype(float), region.in_box))


def _cut_in_turn(colours: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    inside = unknown
    if unknown.all():  # no background to learn from
        return inside
    edges = _edges(colours)
    flat = colours.reshape(-1, colours.shape[-1])
    for _ in range(ROUNDS):
        cost_in = -_mixture(flat[inside.ravel()], flat)
        cost_out = -_mixture(flat[~inside.ravel()], flat)
        new = _cut(cost_in, cost_out, edges, unknown)
        if not new.any() or np.array_equal(new, inside):
            break
        inside = new
    return inside


def _mixture(sample: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(N,) log density of colours (N, C) under a Gaussian mixture fitted to a sample (M, C)."""
    from scipy.cluster.vq import kmeans2  # slow to import, and every command imports this module

    count = min(COMPONENTS, len(np.unique(sample, axis=0)))
    _, member = kmeans2(sample, count, minit="++", rng=np.random.default_rng(0))
    parts = [sample[member == k] for k in range(count) if (member == k).any()]
    logs = [np.log(len(part) / len(sample)) + _gaussian(part, colours) for part in parts]
    return np.logaddexp.reduce(logs, axis=0)


def _gaussian(sample: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Without the constant factor; a little is added to the variance, so that one flat colour has one."""
    mean = sample.mean(0)
    cov = np.cov(sample.T, bias=True) + np.eye(sample.shape[1]) * 4.0
    away = colours - mean
    return -0.5 * (np.einsum("nc,cd,nd->n", away, np.linalg.inv(cov), away) + np.linalg.slogdet(cov)[1])


def _edges(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of neighbours (8 of them, each pair once) and what cutting between them costs."""
    h, w, _ = colours.shape
    index = np.arange(h * w).reshape(h, w)
    firsts, seconds, away, length = [], [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = (slice(0, h - dy), slice(max(0, -dx), w - max(0, dx)))
        two = (slice(dy, h), slice(max(0, dx), w + min(0, dx)))
        firsts.append(index[one].ravel())
        seconds.append(index[two].ravel())
        away.append(((colours[one] - colours[two]) ** 2).sum(-1).ravel())
        length.append(np.full(firsts[-1].size, np.hypot(dy, dx)))
    apart = np.concatenate(away)
    beta = 1 / (2 * max(float(apart.mean()), 1e-9))
    return np.concatenate(firsts), np.concatenate(seconds), GAMMA / np.concatenate(length) * np.exp(-beta * apart)


def _cut(
    cost_in: np.ndarray, cost_out: np.ndarray, edges: tuple[np.ndarray, np.ndarray, np.ndarray], unknown: np.ndarray
) -> np.ndarray:
    """The (h, w) bool labelling of least cost: pixels still joined to the source are inside."""
    first, second, weight = edges
    count = unknown.size
    source, sink, pixels = count, count + 1, np.arange(count)
    least = np.minimum(cost_in, cost_out)
    to_in, to_out = _whole(cost_out - least), _whole(cost_in - least)
    to_in[~unknown.ravel()], to_out[~unknown.ravel()] = 0, FORBIDDEN
    between = _whole(weight)
    rows = np.concatenate([first, second, np.full(count, source), pixels])
    columns = np.concatenate([second, first, pixels, np.full(count, sink)])
    capacity = np.concatenate([between, between, to_in, to_out])
    graph = sparse.csr_matrix((capacity, (rows, columns)), shape=(count + 2, count + 2), dtype=np.int32)
    left = graph - maximum_flow(graph, source, sink).flow
    left.data[left.data < 0] = 0
    left.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(left, source, return_predecessors=False)] = True
    return reached[:count].reshape(unknown.shape)


def _whole(values: np.ndarray) -> np.ndarray:
    return np.minimum(np.rint(values * SCALE), FORBIDDEN).astype(np.int32)
