"""The kinds of marks in a prompts file: from a mark's keys to a prompt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voxtrace.errors import PromptError
from voxtrace.mapped import slabs
from voxtrace.prompt_text.fields import Fields
from voxtrace.prompt_text.flags import check_order
from voxtrace.prompts import Box, MaskPrompt, Point, Prompt, Recist, Scribble


def _box_from(fields: Fields) -> Box:
    z = fields.whole_frame()
    y0, x0, y1, x1 = (fields.number(key) for key in ("y0", "x0", "y1", "x1"))
    check_order(fields.where, "", [("y", y0, y1), ("x", x0, x1)])
    return Box.on_slice(z, y0, x0, y1, x1)


def _box3d_from(fields: Fields) -> Box:
    if fields.has("box_mm"):
        corners = fields.millimetres("box_mm", 2)
        # The two corners are points in space: each is a voxel's place, and the box spans both whole voxels.
        start, stop = np.floor(corners.min(0) + 0.5), np.floor(corners.max(0) + 0.5) + 1
        return Box(*start.tolist(), *stop.tolist())
    z0, y0, x0, z1, y1, x1 = (fields.number(key) for key in ("z0", "y0", "x0", "z1", "y1", "x1"))
    check_order(fields.where, "", [("z", z0, z1), ("y", y0, y1), ("x", x0, x1)])
    return Box(z0, y0, x0, z1, y1, x1)


def _point_from(fields: Fields) -> Point:
    positive = fields.flag("positive", True)
    if fields.has("point_mm"):
        z, y, x = fields.millimetres("point_mm", 1)[0].tolist()
        return Point(z, y, x, positive)
    return Point(fields.frame(), fields.number("y"), fields.number("x"), positive)


def _scribble_from(fields: Fields) -> Scribble:
    positive = fields.flag("positive", True)
    if fields.has("file"):
        mask = fields.around.mask_file(fields.raw("file"), fields.place("file"))
        if not any(part.any() for _, part in slabs(mask)):
            raise PromptError(f"{fields.place('file')}: the scribble {fields.raw('file')} is empty")
        return Scribble.from_mask(mask, positive)
    if fields.has("points_mm"):
        points = fields.array("points_mm", 3, "[[x, y, z], ...] in LPS mm")
        return Scribble(fields.around.voxels(points, fields.place("points_mm")), positive)
    if not fields.has("voxels"):
        raise PromptError(f"{fields.where} needs 'voxels': [[z, y, x], ...], 'points_mm' or 'file'")
    columns = 2 if fields.around.flat and _row_length(fields.values["voxels"]) == 2 else 3
    voxels = fields.array("voxels", columns, "[[z, y, x], ...] with at least one voxel")
    return Scribble(np.pad(voxels, ((0, 0), (3 - columns, 0))), positive)


def _mask_from(fields: Fields) -> MaskPrompt:
    if fields.has("file"):
        return MaskPrompt(fields.around.mask_file(fields.raw("file"), fields.place("file")))
    shape = [int(n) for n in fields.array("shape", _row_length(fields.raw("shape")), "[D, H, W]")[0]]
    runs = fields.array("runs", 2, "[[start, length], ...] counted over the flattened mask").astype(int)
    flat = np.zeros(int(np.prod(shape)), bool)
    if (runs < 0).any() or (runs.sum(axis=1) > len(flat)).any():
        raise PromptError(f"{fields.place('runs')} leave the mask of shape {shape}")
    for start, length in runs:
        flat[start : start + length] = True
    return MaskPrompt(flat.reshape(shape))


def _recist_from(fields: Fields) -> Recist:
    if fields.has("line_mm"):
        first, second = fields.millimetres("line_mm", 2)
        if round(first[0]) != round(second[0]):
            raise PromptError(
                f"{fields.place('line_mm')} runs from slice {first[0]:.1f} to {second[0]:.1f}; "
                "a RECIST line lies on one slice"
            )
        return Recist(float(round(first[0])), *first[1:].tolist(), *second[1:].tolist())
    z = fields.whole_frame()
    return Recist(z, *(fields.number(key) for key in ("y0", "x0", "y1", "x1")))


def _row_length(value: object) -> int:
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    return len(value) if isinstance(value, list) else 0


KINDS: dict[str, Callable[[Fields], Prompt]] = {
    "box": _box_from,
    "box3d": _box3d_from,
    "point": _point_from,
    "scribble": _scribble_from,
    "mask": _mask_from,
    "recist": _recist_from,
}
