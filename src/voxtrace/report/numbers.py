"""Figures as text: always as many digits, a dash for what is not known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NONE = "–"
DIGITS = 3


def fixed(value: float | None, digits: int = DIGITS) -> str:
    """0.812; a dash for None and nan, ∞ for an infinite distance."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float | None, digits: int = DIGITS) -> str:
    """+0.012, −0.012, 0.000."""
    text = fixed(value, digits)
    return f"+{text}" if value is not None and math.isfinite(value) and float(f"{value:.{digits}f}") > 0 else text


def span(low: float | None, high: float | None, digits: int = DIGITS) -> str:
    """0.790–0.834; with signs where one is below 0."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    if low < 0:
        return f"{signed(low, digits)} to {signed(high, digits)}"
    return f"{fixed(low, digits)}–{fixed(high, digits)}"


def seconds(value: float | None) -> str:
    """0.0043, 0.52, 3.1, 84: two digits that say something, or whole seconds."""
    if value is None or not math.isfinite(value):
        return fixed(value)
    if value >= 10:
        return f"{value:.0f}"
    if value >= 1:
        return f"{value:.1f}"
    digits = min(4, max(2, 1 - math.floor(math.log10(value)))) if value > 0 else 2
    return f"{value:.{digits}f}"


def memory(size: float | None) -> str:
    """Bytes as whole MB (2**20)."""
    return NONE if size is None else f"{size / 2**20:.0f}"


def probability(value: float) -> str:
    """<0.001, 0.034, 1."""
    return "<0.001" if value < 0.001 else "1" if value > 0.9995 else f"{value:.3f}"


def interval(figure: Mapping[str, Any], digits: int = DIGITS) -> str:
    """(0.790–0.834) of a figure; nothing where one patient, or none, makes it."""
    text = span(figure.get("low"), figure.get("high"), digits) if figure.get("n", 0) > 1 else ""
    return f"({text})" if text else ""


def best_of(texts: Sequence[str], lower: bool = False) -> set[int]:
    """Which of these figures, as they are shown, are the best; all of equal ones. None if fewer than two are known."""
    known = {place: _value(text) for place, text in enumerate(texts) if text not in (NONE, "")}
    if len(known) < 2:
        return set()
    top = min(known.values()) if lower else max(known.values())
    return {place for place, value in known.items() if value == top}


def counted(number: int, one: str, more: str = "") -> str:
    """1 case, 2 cases."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def listed(names: Iterable[str], most: int = 6) -> str:
    """a, b, c and 4 more."""
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def short(text: str, most: int = 240) -> str:
    """One line, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _value(text: str) -> float:
    return math.inf if text == "∞" else float(text.replace("−", "-").replace("+", ""))
