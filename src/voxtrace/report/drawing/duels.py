"""Who is better than whom beyond chance, as a square of all pairs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from voxtrace.report.drawing.canvas import DIM, INK, WIDTH, Frame, draw, fitted, text_width
from voxtrace.report.numbers import probability

LABEL = 116
BETTER, NOT, SELF = "#0b4f8a", "#eef1f4", "#ffffff"


def duels(names: Sequence[str], p: Sequence[Sequence[float]], better: Sequence[Sequence[bool]]) -> str:
    """names: from first to last, called by their number at the top. better[i][j]: row i is better than column j."""
    labels = [f"{number} {fitted(name, LABEL)}" for number, name in enumerate(names, 1)]
    left = 12 + max(text_width(label) for label in labels)
    cell = min(46.0, max(16.0, (WIDTH - left - 8) / len(names)))
    width = max(WIDTH, left + 8 + cell * len(names))
    right = width - left - cell * len(names)
    height = min(cell, 34.0)
    frame = Frame(height=26 + height * len(names) + 6, left=left, right=right, top=26, bottom=6, width=width)

    def paint(axes: Axes) -> None:
        axes.set_axis_off()
        axes.set_xlim(0, len(names))
        axes.set_ylim(len(names), 0)
        for i, label in enumerate(labels):
            axes.text(-6 / cell, i + 0.5, label, ha="right", va="center")
            axes.text(i + 0.5, -9 / height, str(i + 1), ha="center", va="center", color=DIM)
            for j in range(len(names)):
                _cell(axes, i, j, p[i][j], bool(better[i][j]), cell)

    return draw(frame, paint)


def _cell(axes: Axes, i: int, j: int, p: float, better: bool, cell: float) -> None:
    """A gap of a pixel between cells; the sign says it without the colour."""
    gap = 0.03
    fill = SELF if i == j else BETTER if better else NOT
    corners = [j + gap, j + 1 - gap, j + 1 - gap, j + gap], [i + gap, i + gap, i + 1 - gap, i + 1 - gap]
    axes.fill(*corners, color=fill, linewidth=0)
    if i == j:
        return
    text = probability(p) if cell >= 34 else "●" if better else ""
    size = 8.6 if cell >= 34 else 7
    axes.text(j + 0.5, i + 0.52, text, ha="center", va="center", fontsize=size, color="white" if better else INK)
