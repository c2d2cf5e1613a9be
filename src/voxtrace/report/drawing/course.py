"""How a figure changes over the steps of a training, a line for each kind of clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from voxtrace.report.drawing.canvas import GRID, Frame, draw
from voxtrace.report.palette import Palette

POINTS = 80  # of a line; each is the mean of as many steps


def course(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    palette: Palette,
    limits: tuple[float | None, float | None] = (None, None),
) -> str:
    """lines: {name: (steps, values)}. limits: of the values, None where they are to follow from them."""

    def paint(axes: Axes) -> None:
        for name, (steps, values) in lines.items():
            style = palette.of(name)
            at, means = binned(steps, values)
            mark = style.sign if len(at) < 3 else None
            axes.plot(at, means, color=style.colour, linewidth=1.6, dashes=style.dash or (None, None), marker=mark)
        axes.set_ylim(*limits)
        axes.set_xlabel("step", labelpad=4)
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter("{x:g}")

    return draw(Frame(height=230, left=56), paint)


def binned(steps: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """At most POINTS means of equally many steps."""
    pieces = np.array_split(np.arange(len(values)), min(POINTS, len(values)))
    at, found = np.asarray(steps, float), np.asarray(values, float)
    return np.array([at[piece].mean() for piece in pieces]), np.array([found[piece].mean() for piece in pieces])
