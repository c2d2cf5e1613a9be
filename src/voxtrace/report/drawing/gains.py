"""Before and after, a row for each group of cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from voxtrace.report.drawing.canvas import DIM, GRID, INK, SMALL, Frame, draw, fitted, text_width
from voxtrace.report.drawing.trade import set_unit, unit_limits
from voxtrace.report.numbers import signed

ROW, LABEL = 32, 112
COLOUR, WORSE = "#0072b2", "#d55e00"


@dataclass(frozen=True, slots=True)
class Gain:
    """A group's mean before and after."""

    name: str
    before: float
    after: float


def gains(found: Sequence[Gain], axis: str) -> str:
    """An open circle before, a full one after, and the change in words behind."""
    labels = [fitted(one.name, LABEL) for one in found]
    left = 12 + max(text_width(label) for label in labels)
    right = 14 + text_width("+0.000", SMALL)
    low, high = unit_limits([value for one in found for value in (one.before, one.after)])

    def paint(axes: Axes) -> None:
        set_unit(axes, "x", low, high)
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(axis, labelpad=4)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        room = high - low
        for row, one in enumerate(found):
            colour = WORSE if one.after < one.before else COLOUR
            axes.plot([one.before, one.after], [row, row], color=colour, linewidth=2.2, zorder=2)
            axes.plot([one.before], [row], "o", ms=8, mfc="white", mec=colour, mew=1.8, zorder=3)
            axes.plot([one.after], [row], "o", ms=8.5, color=colour, zorder=4)
            axes.text(low - 0.02 * room, row, labels[row], ha="right", va="center", color=INK)
            change = signed(one.after - one.before)
            axes.text(high + 0.03 * room, row, change, ha="left", va="center", fontsize=SMALL, color=DIM)

    return draw(Frame(height=ROW * len(found) + 48, left=left, right=right, top=6, bottom=40), paint)
