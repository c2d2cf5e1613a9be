"""How often each submission has which rank when the cases are drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from voxtrace.report.drawing.canvas import DIM, GRID, SMALL, WIDTH, Frame, draw, fitted, text_width
from voxtrace.report.palette import Palette

ROW, LABEL = 40, 116
LEAST = 0.005  # a share that is worth a dot


def ranks(
    frequency: Mapping[str, Sequence[float]], intervals: Mapping[str, tuple[int, int]], palette: Palette, wide: bool
) -> str:
    """frequency: {submission: share of draws (0..1) with rank 1, 2, ...}, from first to last; intervals: the middle
    95 % of the ranks. wide: room for more than a dozen."""
    names = list(frequency)
    labels = [fitted(name, LABEL) for name in names]
    left = 14 + max(text_width(label) for label in labels)
    width = WIDTH if not wide else max(WIDTH, left + 12 + 28 * len(names))
    frame = Frame(height=ROW * len(names) + 52, left=left, right=12, top=6, bottom=40, width=width)
    cell = (width - left - 12) / len(names)
    biggest = min(cell, 24) * 0.92

    def paint(axes: Axes) -> None:
        axes.set_xlim(0.5, len(names) + 0.5)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xticks(range(1, len(names) + 1))
        axes.set_xlabel("rank", labelpad=4)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        for row, name in enumerate(names):
            low, high = intervals[name]
            axes.text(0.5 - 8 / cell, row, labels[row], ha="right", va="center")
            axes.plot([low, high], [row - 0.12] * 2, color="#9aa3ad", linewidth=3, solid_capstyle="round", zorder=1)
            for place, share in enumerate(frequency[name], 1):
                if share >= LEAST:
                    _dot(axes, place, row, share, biggest, palette.of(name).colour, cell)

    return draw(frame, paint)


def _dot(axes: Axes, place: int, row: int, share: float, biggest: float, colour: str, cell: float) -> None:
    size = max(biggest * float(np.sqrt(share)), 2.5)
    axes.plot([place], [row - 0.12], "o", color=colour, markersize=size, markeredgewidth=0, zorder=2, clip_on=False)
    if cell >= 18:
        text = f"{share * 100:.0f}%" if cell >= 30 else f"{share * 100:.0f}"
        axes.text(place, row + 0.32, text, ha="center", va="center", fontsize=SMALL, color=DIM)
