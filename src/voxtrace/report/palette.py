"""Which colour and sign stand for a model: the same in the whole report, told apart without colours too.

The colours are those of Okabe and Ito ("Color universal design", 2008) but for yellow, which is lost on white.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#4d4d4d")
SIGNS = ("o", "s", "^", "D", "v", "P", "X", "p")  # as matplotlib names them
DASHES = ((), (5, 2), (2, 2), (6, 2, 1, 2), (8, 3))


@dataclass(frozen=True, slots=True)
class Style:
    """colour: #rrggbb. sign: a marker's letter. dash: on and off lengths of a line, () for a solid one."""

    colour: str
    sign: str
    dash: tuple[int, ...]


class Palette:
    """Styles in the order in which names come up."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._place: dict[str, int] = {}
        for name in names:
            self._place.setdefault(name, len(self._place))

    def of(self, name: str) -> Style:
        """The name's style; a new name gets the next."""
        place = self._place.setdefault(name, len(self._place))
        return Style(COLOURS[place % len(COLOURS)], SIGNS[place % len(SIGNS)], DASHES[place % len(DASHES)])
