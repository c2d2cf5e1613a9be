"""The signs of the models beside their names: the markers and dashes that the drawings have."""

from __future__ import annotations

import math

from voxtrace.report.palette import Style


def sign(style: Style) -> str:
    """The marker alone, as an inline <svg>."""
    return f'<svg class="sign" width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">{_marker(style)}</svg>'


def line_sign(style: Style) -> str:
    """The marker on its line."""
    dashes = f' stroke-dasharray="{" ".join(map(str, style.dash))}"' if style.dash else ""
    line = f'<path d="M-16 0H16" stroke="{style.colour}" stroke-width="1.8"{dashes}/>'
    shape = _marker(style, ' stroke="#fff" stroke-width="1"')
    return f'<svg class="sign" width="34" height="12" viewBox="-17 -6 34 12" aria-hidden="true">{line}{shape}</svg>'


def _marker(style: Style, more: str = "") -> str:
    if style.sign == "o":
        return f'<circle r="4.4" fill="{style.colour}"{more}/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in SHAPES[style.sign])
    return f'<polygon points="{points}" fill="{style.colour}"{more}/>'


def _turned(points: list[tuple[float, float]], degrees: float) -> list[tuple[float, float]]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x * c - y * s, x * s + y * c) for x, y in points]


_SQUARE = [(-3.9, -3.9), (3.9, -3.9), (3.9, 3.9), (-3.9, 3.9)]
_UP = [(0.0, -4.8), (4.8, 4.0), (-4.8, 4.0)]
_ARM, _END = 1.7, 5.0
_PLUS = [
    *((-_ARM, -_END), (_ARM, -_END), (_ARM, -_ARM), (_END, -_ARM), (_END, _ARM), (_ARM, _ARM)),
    *((_ARM, _END), (-_ARM, _END), (-_ARM, _ARM), (-_END, _ARM), (-_END, -_ARM), (-_ARM, -_ARM)),
]
SHAPES = {
    "s": _SQUARE,
    "^": _UP,
    "D": _turned(_SQUARE, 45),
    "v": [(x, -y) for x, y in _UP],
    "P": _PLUS,
    "X": _turned(_PLUS, 45),
    "p": [_turned([(0.0, -4.9)], 72 * number)[0] for number in range(5)],
}
