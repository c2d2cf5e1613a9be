"""How many times faster our figures of one object are than those of surface-distance 0.1, on 160 x 160 x 160 voxels.

    python -m voxtrace.bench.metric_speed --out benchmarks/metrics_speed.json

Both compute Dice, NSD, HD95, HD and the average distance of the same masks, in turn, each several times; the ratio is
that of the medians of processor seconds. Memory is the most that arrays took at once, ours as a share of theirs. Only
ratios are written: seconds of a shared machine mean nothing on another.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from scipy import ndimage

from voxtrace.errors import MissingDependencyError
from voxtrace.eval.metrics import Scores, score

SIDE, SPACING_MM, TOLERANCE_MM = 160, (2.0, 1.0, 1.0), 2.0
Pair = tuple[np.ndarray, np.ndarray]


def pairs() -> dict[str, Pair]:
    """Masks and references, (160, 160, 160) bool; centres and radii in voxels, (z, y, x)."""
    return {
        "identical, radius 40": (ball((80, 80, 80), 40), ball((80, 80, 80), 40)),
        "radius 8, moved by 2": (ball((80, 80, 80), 8), ball((80, 82, 81), 8)),
        "radius 40, moved by 2": (ball((80, 80, 80), 40), ball((80, 82, 81), 40)),
        "radius 40 for 44": (ball((80, 80, 80), 40), ball((80, 80, 80), 44)),
        "radius 70, moved by 5": (ball((80, 80, 80), 70), ball((80, 85, 80), 70)),
        "rough, filling the array": rough(),
        "radius 60, moved by 20": (ball((80, 70, 80), 60), ball((80, 90, 80), 60)),
        "radius 50, moved by 50": (ball((80, 50, 80), 50), ball((80, 100, 80), 50)),
        "radius 10 within 70": (ball((80, 80, 80), 10), ball((80, 80, 80), 70)),
        "in opposite corners": (ball((25, 25, 25), 20), ball((130, 130, 130), 25)),
    }


def ball(centre: tuple[int, int, int], radius: int) -> np.ndarray:
    """(160, 160, 160) bool."""
    grid = np.ogrid[:SIDE, :SIDE, :SIDE]
    return np.asarray(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2)


def rough() -> Pair:
    """Smooth noise above 0, and the same with other noise added: many surfaces, near one another."""
    random = np.random.default_rng(0)
    first, other = (ndimage.gaussian_filter(random.normal(size=(SIDE,) * 3), 3) for _ in range(2))
    return first > 0, first + 0.3 * other > 0


def theirs() -> Callable[[np.ndarray, np.ndarray], Scores]:
    """surface-distance 0.1 as `score` would call it; its IoU is not computed."""
    try:
        import surface_distance as package
    except ImportError:
        raise MissingDependencyError("surface-distance", "test", "the comparison of speed") from None

    def run(mask: np.ndarray, truth: np.ndarray) -> Scores:
        distances = package.compute_surface_distances(truth, mask, SPACING_MM)
        areas = [distances[name].sum() for name in ("surfel_areas_gt", "surfel_areas_pred")]
        return Scores(
            dsc=package.compute_dice_coefficient(truth, mask),
            iou=np.nan,
            nsd=package.compute_surface_dice_at_tolerance(distances, TOLERANCE_MM),
            hd95=package.compute_robust_hausdorff(distances, 95),
            assd=float(np.average(package.compute_average_surface_distance(distances), weights=areas)),
            hd=package.compute_robust_hausdorff(distances, 100),
        )

    return run


def ours(mask: np.ndarray, truth: np.ndarray) -> Scores:
    """`score`."""
    return score(mask, truth, SPACING_MM, TOLERANCE_MM)


def compare(pair: Pair, contenders: list[Callable[[np.ndarray, np.ndarray], Scores]], repeats: int) -> dict[str, float]:
    """Theirs and ours, in turn: ratios of seconds and memory, the largest difference of any figure, the masks' Dice."""
    seconds = np.empty((repeats, len(contenders)))
    for row in seconds:
        for i, run in enumerate(contenders):
            start = time.process_time()
            run(*pair)
            row[i] = time.process_time() - start
    found, peaks = zip(*(_peak(run, pair) for run in contenders), strict=True)
    names = ("dsc", "nsd", "hd95", "assd", "hd")
    difference = max(abs(getattr(found[0], name) - getattr(found[1], name)) for name in names)
    theirs, ours = np.median(seconds, axis=0)
    return {
        "times_faster": round(float(theirs / ours), 1),
        "of_their_memory": float(f"{peaks[1] / peaks[0]:.2g}"),
        "largest_difference": float(f"{difference:.1e}"),
        "dsc": round(found[1].dsc, 3),
    }


def _peak(run: Callable[[np.ndarray, np.ndarray], Scores], pair: Pair) -> tuple[Scores, int]:
    """What it found, and the most bytes that it held at once beside the masks."""
    tracemalloc.start()
    try:
        return run(*pair), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Compare the speed of the surface metrics with surface-distance 0.1.")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)  # the other package calls scipy by old names
    ours(*(np.ones((2, 2, 2), bool),) * 2)  # derives the table of areas
    rows = {}
    for name, pair in pairs().items():
        rows[name] = compare(pair, [theirs(), ours], args.repeats)
        print(f"{name:28} {rows[name]}", flush=True)
    machine: dict[str, Any] = {"machine": platform.machine(), "threads": 1, "python": platform.python_version()}
    report = {
        "voxels": [SIDE] * 3,
        "spacing_mm": SPACING_MM,
        "clock": f"processor seconds, median of {args.repeats}, in turn",
        "machine": machine | {"numpy": np.__version__, "scipy": scipy.__version__},
        "results": rows,
    }
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
