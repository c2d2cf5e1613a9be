"""A value along steps or levels, a line for each model, with an interval at every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from voxtrace.report.drawing.canvas import GRID, Frame, draw
from voxtrace.report.drawing.trade import Estimate, set_unit, unit_limits
from voxtrace.report.palette import Palette

APART = 5.0  # pixels between the intervals of two models at one level


@dataclass(frozen=True, slots=True)
class Scale:
    """The levels that are ticked, as they are called, and what they are."""

    at: Sequence[float]
    names: Sequence[str]
    title: str


def curves(
    lines: Mapping[str, Mapping[float, Estimate]],
    palette: Palette,
    scale: Scale,
    axis: str,
    limits: tuple[float, float] | None = None,
) -> str:
    """lines: {model: {level: value in 0..1}}. limits: of the value; None: around these."""
    every = [v for points in lines.values() for one in points.values() for v in (one.low, one.high)]

    def paint(axes: Axes) -> None:
        low, high = min(scale.at), max(scale.at)
        room = (high - low) * 0.06 or 0.5
        axes.set_xlim(low - room, high + room)
        set_unit(axes, "y", *(limits or unit_limits(every)))
        axes.set_xticks(list(scale.at), list(scale.names))
        axes.set_xlabel(scale.title, labelpad=4)
        axes.set_ylabel(axis, labelpad=4)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        pixel = (high - low + 2 * room) / 280
        for number, (name, points) in enumerate(lines.items()):
            _line(axes, name, points, (number - (len(lines) - 1) / 2) * APART * pixel, palette)

    return draw(Frame(height=230, left=46), paint)


def _line(axes: Axes, name: str, points: Mapping[float, Estimate], shift: float, palette: Palette) -> None:
    style = palette.of(name)
    at = np.array(sorted(points))
    means = [points[level].mean for level in at]
    axes.plot(
        at + shift,
        means,
        color=style.colour,
        linewidth=1.8,
        dashes=style.dash or (None, None),
        marker=style.sign,
        markersize=6.5,
        markeredgecolor="white",
        markeredgewidth=0.7,
        zorder=3,
    )
    for level, x in zip(at, at + shift, strict=True):
        axes.plot([x, x], [points[level].low, points[level].high], color=style.colour, linewidth=1.2, alpha=0.65)
