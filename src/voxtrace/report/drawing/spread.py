"""Box and violin of one value a case, a row for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from voxtrace.report.drawing.canvas import DIM, GRID, INK, SMALL, WIDTH, Frame, draw, fitted, text_width
from voxtrace.report.palette import Palette

ROW, HALF, BOX = 36, 0.40, 0.11  # pixels; heights as shares of a row
LEAST, MANY = 5, 25  # values that a box needs; more of them are not drawn one by one
BELOW = 0.27  # how far below the box dots lie
LABEL = 112  # pixels at most for a name


def spread(values: Mapping[str, Sequence[float]], palette: Palette, axis: str) -> str:
    """values: {model: 0..1 of each case}, drawn from top to bottom."""
    names = list(values)
    labels = [fitted(name, LABEL) for name in names]
    counts = [f"{len(values[name])}" for name in names]
    left = 16 + max(text_width(label) for label in labels)
    frame = Frame(
        height=ROW * len(names) + 58,
        left=left,
        right=20 + max(text_width(count, SMALL) for count in counts),
        top=22,
        bottom=40,
    )

    def paint(axes: Axes) -> None:
        _scale(axes, len(names), axis)
        for row, name in enumerate(names):
            _row(axes, row, np.asarray(values[name], float), palette.of(name).colour)
            axes.text(-0.05, row, labels[row], ha="right", va="center")
            axes.text(1.07, row, counts[row], ha="left", va="center", color=DIM, fontsize=SMALL)
        axes.text(1.07, -0.72, "n", ha="left", va="center", color=DIM, fontsize=SMALL, fontstyle="italic")

    return draw(frame, paint)


def _scale(axes: Axes, rows: int, axis: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_xlabel(axis, labelpad=4)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _row(axes: Axes, row: int, values: np.ndarray, colour: str) -> None:
    """A violin, a box with its median, and dots: each value below the box if they are few, else those beyond the line.
    Too few for a box are dots alone."""
    place = float(row)
    if len(values) >= LEAST:
        if len(values) >= 2 * LEAST:
            at, height = density(values)
            axes.fill_between(at, row - HALF * height, row + HALF * height, color=colour, alpha=0.20, linewidth=0)
        low, middle, high = np.percentile(values, [25, 50, 75])
        reach = 1.5 * (high - low)
        near = values[(values >= low - reach) & (values <= high + reach)]
        axes.plot([near.min(), near.max()], [row, row], color=colour, linewidth=1.2, solid_capstyle="butt")
        corners = [low, high, high, low], [row - BOX, row - BOX, row + BOX, row + BOX]
        axes.fill(*corners, fc="white", ec=colour, lw=1.4, zorder=2.5)
        axes.plot([middle, middle], [row - BOX, row + BOX], color=INK, linewidth=2.2, solid_capstyle="butt", zorder=3)
        if len(values) > MANY:
            values = values[(values < near.min()) | (values > near.max())]
        else:
            place = row + BELOW
    dots: dict[str, Any] = {"markersize": 3.6, "markeredgewidth": 0, "alpha": 0.8, "clip_on": False, "zorder": 4}
    axes.plot(values, place + _shifts(values), "o", color=colour, **dots)


def _shifts(values: np.ndarray) -> np.ndarray:
    """Dots that would lie on one another step aside, in turn up and down."""
    shifts, seen = np.zeros(len(values)), dict[int, int]()
    for place, value in enumerate(values):
        spot = int(value * WIDTH / 8)
        number = seen.get(spot, 0)
        seen[spot] = number + 1
        shifts[place] = (-1) ** number * ((number + 1) // 2) * 0.08
    return np.clip(shifts, -0.16, 0.16)


def density(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where (100 places in 0..1) and how thick, 1 at the thickest: normal kernels, Silverman's width, mirrored at 0
    and 1, so that nothing is drawn where no value can be."""
    deviation, quartiles = values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34
    width = max(0.9 * min(deviation, quartiles or deviation) * len(values) ** -0.2, 0.015)
    at = np.linspace(max(values.min() - 2 * width, 0), min(values.max() + 2 * width, 1), 100)
    mirrored = np.concatenate([values, -values, 2 - values])
    height = np.exp(-0.5 * ((at[:, None] - mirrored) / width) ** 2).sum(axis=1)
    return at, height / height.max()
