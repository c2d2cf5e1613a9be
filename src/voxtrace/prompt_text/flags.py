"""Marks written as the command line's flags, in voxels counted from 0; boxes are half-open.

    box      F:Y0,X0,Y1,X1          box3d   Z0,Y0,X0,Z1,Y1,X1
    recist   F:Y0,X0,Y1,X1          point   Z,Y,X   Z,Y,X:-   Z,Y,X:+

F is the frame the mark is drawn on: the slice z, or with `axis` 1 or 2 the index along that axis; the other two
numbers are then what is left of (z, y, x), in that order. For a picture (`flat`) the F: or Z part is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from voxtrace.errors import PromptError
from voxtrace.prompts import Box, Point, Recist

AXIS_LETTERS = "zyx"


def parse_box(text: str, flat: bool = False, axis: int = 0) -> Box:
    """`F:Y0,X0,Y1,X1`, or `Y0,X0,Y1,X1` for a picture, -> a box one frame thick."""
    frame, (a0, b0, a1, b1) = _frame_and_numbers("--box", text, flat, axis)
    first, second = (letter for letter in AXIS_LETTERS if letter != AXIS_LETTERS[axis])
    check_order("--box", text, [(first, a0, a1), (second, b0, b1)])
    start, stop = _on_axis(frame, a0, b0, axis), _on_axis(frame + 1, a1, b1, axis)
    return Box(*start, *stop)


def parse_box3d(text: str, flat: bool = False) -> Box:
    """`Z0,Y0,X0,Z1,Y1,X1` -> Box."""
    if flat:
        raise PromptError(f"--box3d {text}: a picture has no z; use --box Y0,X0,Y1,X1")
    z0, y0, x0, z1, y1, x1 = _numbers("--box3d", text, text, 6, "Z0,Y0,X0,Z1,Y1,X1, for example 10,40,52,18,80,97")
    check_order("--box3d", text, [("z", z0, z1), ("y", y0, y1), ("x", x0, x1)])
    return Box(z0, y0, x0, z1, y1, x1)


def parse_point(text: str, flat: bool = False) -> Point:
    """`Z,Y,X` or `Z,Y,X:-` (a picture: `Y,X`, `Y,X:-`) -> Point; `:-` says that the object is not there."""
    place, _, sign = text.partition(":")
    form = "Y,X or Y,X:- for a picture, for example 40,52" if flat else "Z,Y,X or Z,Y,X:-, for example 12,40,52"
    if sign not in ("", "+", "-"):
        raise PromptError(f"--point {text}: after the colon comes - (not the object) or +; write {form}")
    values = _numbers("--point", text, place, 2 if flat else 3, form)
    z, y, x = (0.0, *values) if flat else values
    return Point(z, y, x, positive=sign != "-")


def parse_recist(text: str, flat: bool = False) -> Recist:
    """`Z:Y0,X0,Y1,X1`, or `Y0,X0,Y1,X1` for a picture, -> Recist: the two ends of the longest diameter."""
    frame, (y0, x0, y1, x1) = _frame_and_numbers("--recist", text, flat, 0)
    return Recist(frame, y0, x0, y1, x1)


def _frame_and_numbers(flag: str, text: str, flat: bool, axis: int) -> tuple[float, list[float]]:
    first, second = (letter.upper() for letter in AXIS_LETTERS if letter != AXIS_LETTERS[axis])
    numbers_form = f"{first}0,{second}0,{first}1,{second}1"
    frame_letter = AXIS_LETTERS[axis].upper()
    head, colon, tail = text.rpartition(":")
    if flat:
        form = f"{numbers_form} for a picture, for example 40,52,80,97"
        if colon:
            raise PromptError(f"{flag} {text}: a picture has no slices; leave '{head}:' out and write {form}")
        return 0.0, _numbers(flag, text, tail, 4, form)
    form = f"{frame_letter}:{numbers_form}, for example 12:40,52,80,97"
    if not colon:
        raise PromptError(f"{flag} {text}: the slice is missing; write {form}")
    (frame,) = _numbers(flag, text, head, 1, form)
    if frame != int(frame):
        raise PromptError(f"{flag} {text}: the slice {head} is not a whole number; write {form}")
    return frame, _numbers(flag, text, tail, 4, form)


def _numbers(flag: str, text: str, part: str, count: int, form: str) -> list[float]:
    pieces = [piece.strip() for piece in part.split(",")]
    if len(pieces) != count:
        raise PromptError(f"{flag} {text}: expected {count} number{'s' * (count > 1)}, got {len(pieces)}; write {form}")
    values = []
    for piece in pieces:
        try:
            value = float(piece)
        except ValueError:
            raise PromptError(f"{flag} {text}: {piece!r} is not a number; write {form}") from None
        if not math.isfinite(value):
            raise PromptError(f"{flag} {text}: {piece} is not a finite number; write {form}")
        values.append(value)
    return values


def check_order(name: str, text: str, spans: Sequence[tuple[str, float, float]]) -> None:
    """Raise PromptError unless start < stop in each (axis label, start, stop)."""
    for label, low, high in spans:
        if high <= low:
            problem = "has zero size" if high == low else "is inverted"
            raise PromptError(
                f"{f'{name} {text}'.strip()}: the box {problem} in its {label} axis ({low:g} to {high:g}); "
                "boxes are half-open: start < stop, one voxel is k to k+1"
            )


def _on_axis(frame: float, a: float, b: float, axis: int) -> tuple[float, float, float]:
    """The frame's index and its (row, column) -> (z, y, x)."""
    place = [a, b]
    place.insert(axis, frame)
    z, y, x = place
    return z, y, x
