"""What a model gives against what it costs: one point a model, with both intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from voxtrace.report.drawing.canvas import GRID, Frame, draw
from voxtrace.report.palette import Palette

LEAST_SECONDS = 1e-4  # what is measured is rounded to it


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval; low and high are the mean where there is none. nan: not known."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, figure: Mapping[str, Any], name: str = "mean") -> Estimate:
        """From {name, "low", "high"} as JSON holds it, where null is not known."""
        mean, low, high = (np.nan if figure[key] is None else float(figure[key]) for key in (name, "low", "high"))
        return cls(mean, low if np.isfinite(low) else mean, high if np.isfinite(high) else mean)


def trade(points: Mapping[str, tuple[Estimate, Estimate]], palette: Palette, axis: str, cost: str) -> str:
    """points: {model: (seconds, value in 0..1)}; what is not finite is left out."""
    points = {name: pair for name, pair in points.items() if all(np.isfinite(one.mean) for one in pair)}

    def paint(axes: Axes) -> None:
        _scale(axes, points, axis, cost)
        for name, (time, value) in points.items():
            style, x = palette.of(name), max(time.mean, LEAST_SECONDS)
            low = max(time.low, LEAST_SECONDS)
            axes.plot([low, max(time.high, low)], [value.mean] * 2, color=style.colour, linewidth=1.4)
            axes.plot([x, x], [value.low, value.high], color=style.colour, linewidth=1.4)
            axes.plot(
                [x], [value.mean], style.sign, color=style.colour, markersize=9, markeredgecolor="white", zorder=3
            )

    return draw(Frame(height=230, left=46), paint)


def _scale(axes: Axes, points: Mapping[str, tuple[Estimate, Estimate]], axis: str, cost: str) -> None:
    """Whole powers of ten; at least two of them apart, so that equal times do not look different."""
    lows = [max(time.low, LEAST_SECONDS) for time, _ in points.values()] or [0.1]
    highs = [max(time.high, LEAST_SECONDS) for time, _ in points.values()] or [1.0]
    first, last = int(np.floor(np.log10(min(lows)))), int(np.ceil(np.log10(max(highs))))
    last = max(last, first + 2)
    axes.set_xscale("log")
    axes.set_xlim(10.0**first * 0.8, 10.0**last * 1.25)
    powers = range(first, last + 1)
    axes.xaxis.set_major_locator(FixedLocator([10.0**power for power in powers]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{10.0**power:g}" if power > -4 else "0.0001" for power in powers])
    set_unit(axes, "y", *unit_limits([v for _, value in points.values() for v in (value.low, value.high)]))
    axes.set_xlabel(cost, labelpad=4)
    axes.set_ylabel(axis, labelpad=4)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def set_unit(axes: Axes, side: Literal["x", "y"], low: float, high: float) -> None:
    """Limits of an axis of values in 0..1, ticked at tenths, at every second one if they are many; one digit each."""
    (axes.set_xlim if side == "x" else axes.set_ylim)(low, high)
    every = 1 if high - low < 0.65 else 2
    ticks = [tenth / 10 for tenth in range(0, 11, every) if low <= tenth / 10 <= high]
    (axes.xaxis if side == "x" else axes.yaxis).set_ticks(ticks, [f"{tick:.1f}" for tick in ticks])


def unit_limits(values: list[float]) -> tuple[float, float]:
    """Tenths around all values in 0..1, at least three of them, with a little room for signs at the ends."""
    known = [value for value in values if np.isfinite(value)] or [0.0, 1.0]
    low, high = np.floor(min(known) * 10 + 1e-9) / 10, np.ceil(max(known) * 10 - 1e-9) / 10
    high = min(max(high, low + 0.3), 1.0)
    low = max(min(low, high - 0.3), 0.0)
    return float(low) - 0.015, float(high) + 0.015
