"""Prompts files: JSON with several objects, each with a name and any kinds of marks.

{"objects": [{"name": "liver", "prompts": [{"kind": "point", "z": 3, "y": 40, "x": 51, "positive": true}]}]}

box      z y0 x0 y1 x1                     box3d     z0 y0 x0 z1 y1 x1   | box_mm [[x,y,z],[x,y,z]]
point    z y x          | point_mm [x,y,z] recist    z y0 x0 y1 x1       | line_mm [[x,y,z],[x,y,z]]
scribble voxels [[z,y,x],...] | points_mm [[x,y,z],...] | file           positive (points too): true or false
mask     file           | shape, runs [[start, length], ...] over the flattened mask
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import PromptError
from voxtrace.prompt_text.flags import check_order
from voxtrace.prompts import Box, MaskPrompt, Point, Prompt, Recist, Scribble

ReadMask = Callable[[Path], np.ndarray]
ToVoxel = Callable[[np.ndarray], np.ndarray]

KINDS = ("box", "box3d", "point", "scribble", "mask", "recist")


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPrompts:
    """One object to find: its name (None: the program numbers it) and all its marks."""

    prompts: tuple[Prompt, ...]
    name: str | None = None


def read_prompts(
    path: Path, read_mask: ReadMask | None = None, to_voxel: ToVoxel | None = None, flat: bool = False
) -> list[ObjectPrompts]:
    """A prompts file -> its objects. Files named inside are looked for beside it. Raises PromptError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PromptError(f"the prompts file {path} does not exist") from None
    except IsADirectoryError:
        raise PromptError(f"the prompts file {path} is a folder; name a .json file") from None
    except UnicodeDecodeError:
        raise PromptError(f"{path} is not a prompts file: it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise PromptError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
            'it should read {"objects": [{"name": ..., "prompts": [...]}]}'
        ) from None
    try:
        return prompts_from_json(data, path.parent, read_mask, to_voxel, flat)
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from None


def prompts_from_json(
    data: object,
    folder: Path | None = None,
    read_mask: ReadMask | None = None,
    to_voxel: ToVoxel | None = None,
    flat: bool = False,
) -> list[ObjectPrompts]:
    """The parsed JSON of a prompts file -> its objects.

    folder: where the relative paths in "file" start. read_mask: path -> array, needed for "file".
    to_voxel: (..., 3) LPS mm (x, y, z) -> (..., 3) voxels (z, y, x), needed for the `_mm` forms (Volume.to_voxel).
    flat: a picture; z may be left out and must be 0. Errors name the place in the JSON, the value and the way out.
    """
    reader = _Reader(folder or Path(), read_mask, to_voxel, flat)
    objects = reader.items(data, "", "objects", '{"objects": [{"name": "liver", "prompts": [...]}]}')
    found = [reader.one_object(item, f"objects[{number}]") for number, item in enumerate(objects)]
    names = [one.name for one in found if one.name is not None]
    for name in names:
        if names.count(name) > 1:
            raise PromptError(f"two objects are named {name!r}; give each its own name")
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    folder: Path
    read_mask: ReadMask | None
    to_voxel: ToVoxel | None
    flat: bool

    def items(self, data: object, where: str, key: str, form: str) -> list[Any]:
        value = data.get(key) if isinstance(data, Mapping) else None
        if not isinstance(value, list):
            raise PromptError(f"{where or 'the file'} needs a list {key!r}: {form}")
        if not value:
            raise PromptError(f"{_join(where, key)} is empty; name at least one: {form}")
        return value

    def one_object(self, data: object, where: str) -> ObjectPrompts:
        marks = self.items(data, where, "prompts", '{"prompts": [{"kind": "box", ...}]}')
        assert isinstance(data, Mapping)
        name = data.get("name")
        if name is not None and (not isinstance(name, str) or not name.strip()):
            raise PromptError(f"{where}.name is {name!r}; a name is a text that is not empty")
        unknown = sorted(set(data) - {"name", "prompts"})
        if unknown:
            raise PromptError(f"{where} has the unknown key {unknown[0]!r}; an object has 'name' and 'prompts'")
        prompts = tuple(self.prompt(mark, f"{where}.prompts[{number}]") for number, mark in enumerate(marks))
        return ObjectPrompts(prompts, name)

    def prompt(self, data: object, where: str) -> Prompt:
        if not isinstance(data, Mapping) or data.get("kind") not in KINDS:
            kind = data.get("kind") if isinstance(data, Mapping) else data
            raise PromptError(f"{_join(where, 'kind')} is {kind!r}; one of {', '.join(KINDS)}")
        fields = _Fields({key: value for key, value in data.items() if key != "kind"}, where, self)
        prompt = _BUILDERS[data["kind"]](fields)
        fields.check_all_used(data["kind"])
        return prompt

    def mask_file(self, value: object, where: str) -> np.ndarray:
        if not isinstance(value, str) or not value:
            raise PromptError(f"{where} is {value!r}; write the path of a mask file")
        if self.read_mask is None:
            raise PromptError(f"{where}: files cannot be read here; give voxels instead")
        path = self.folder / value
        if not path.exists():
            raise PromptError(f"{where}: {path} does not exist")
        return self.read_mask(path)

    def voxels(self, points_mm: np.ndarray, where: str) -> np.ndarray:
        if self.to_voxel is None:
            raise PromptError(f"{where}: this input has no millimetre geometry; give z, y, x in voxels")
        return self.to_voxel(points_mm)


class _Fields:
    """One prompt's keys; remembers which were read, so that a misspelt one is told."""

    def __init__(self, values: Mapping[str, Any], where: str, reader: _Reader) -> None:
        self.values, self.where, self.reader = values, where, reader
        self.used: set[str] = set()

    def has(self, key: str) -> bool:
        return key in self.values

    def raw(self, key: str) -> Any:
        self.used.add(key)
        if key not in self.values:
            raise PromptError(f"{self.where} needs {key!r}; it has {', '.join(sorted(self.values)) or 'nothing'}")
        return self.values[key]

    def place(self, key: str) -> str:
        return f"{self.where}.{key}"

    def number(self, key: str) -> float:
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise PromptError(f"{self.place(key)} is {value!r}; write a number (voxels counted from 0)")
        return float(value)

    def frame(self) -> float:
        """z, which a picture may leave out."""
        return 0.0 if self.reader.flat and not self.has("z") else self.number("z")

    def whole_frame(self) -> int:
        value = self.frame()
        if value != int(value):
            raise PromptError(f"{self.place('z')} is {value:g}; a slice is a whole number")
        return int(value)

    def flag(self, key: str, otherwise: bool) -> bool:
        if not self.has(key):
            return otherwise
        value = self.raw(key)
        if not isinstance(value, bool):
            raise PromptError(f"{self.place(key)} is {value!r}; write true or false")
        return value

    def array(self, key: str, columns: int, form: str) -> np.ndarray:
        """(N, columns) float64; one row may be written without the outer list."""
        value = self.raw(key)
        try:
            array = np.atleast_2d(np.asarray(value, dtype=np.float64))
        except (TypeError, ValueError):
            array = np.zeros(0)
        if array.ndim != 2 or array.shape[1] != columns or not np.isfinite(array).all():
            raise PromptError(f"{self.place(key)} is {_short(value)}; write {form}")
        return array

    def millimetres(self, key: str, count: int) -> np.ndarray:
        """(count, 3) LPS mm of the JSON -> (count, 3) zyx voxels."""
        points = self.array(key, 3, "[x, y, z] in LPS mm" if count == 1 else "[[x, y, z], [x, y, z]] in LPS mm")
        if len(points) != count:
            raise PromptError(f"{self.place(key)} has {len(points)} points; it needs {count}")
        return self.reader.voxels(points, self.place(key))

    def check_all_used(self, kind: str) -> None:
        unknown = sorted(set(self.values) - self.used)
        if unknown:
            raise PromptError(
                f"{self.where} has the unknown key {unknown[0]!r}; a {kind} takes {', '.join(sorted(self.used))}"
            )


def _box_from(fields: _Fields) -> Box:
    z = fields.whole_frame()
    y0, x0, y1, x1 = (fields.number(key) for key in ("y0", "x0", "y1", "x1"))
    check_order(fields.where, "", [("y", y0, y1), ("x", x0, x1)])
    return Box.on_slice(z, y0, x0, y1, x1)


def _box3d_from(fields: _Fields) -> Box:
    if fields.has("box_mm"):
        corners = fields.millimetres("box_mm", 2)
        # The two corners are points in space: each is a voxel's place, and the box spans both whole voxels.
        start, stop = np.floor(corners.min(0) + 0.5), np.floor(corners.max(0) + 0.5) + 1
        return Box(*start.tolist(), *stop.tolist())
    z0, y0, x0, z1, y1, x1 = (fields.number(key) for key in ("z0", "y0", "x0", "z1", "y1", "x1"))
    check_order(fields.where, "", [("z", z0, z1), ("y", y0, y1), ("x", x0, x1)])
    return Box(z0, y0, x0, z1, y1, x1)


def _point_from(fields: _Fields) -> Point:
    positive = fields.flag("positive", True)
    if fields.has("point_mm"):
        z, y, x = fields.millimetres("point_mm", 1)[0].tolist()
        return Point(z, y, x, positive)
    return Point(fields.frame(), fields.number("y"), fields.number("x"), positive)


def _scribble_from(fields: _Fields) -> Scribble:
    positive = fields.flag("positive", True)
    if fields.has("file"):
        mask = fields.reader.mask_file(fields.raw("file"), fields.place("file"))
        if not np.any(mask):
            raise PromptError(f"{fields.place('file')}: the scribble {fields.raw('file')} is empty")
        return Scribble.from_mask(mask, positive)
    if fields.has("points_mm"):
        points = fields.array("points_mm", 3, "[[x, y, z], ...] in LPS mm")
        return Scribble(fields.reader.voxels(points, fields.place("points_mm")), positive)
    if not fields.has("voxels"):
        raise PromptError(f"{fields.where} needs 'voxels': [[z, y, x], ...], 'points_mm' or 'file'")
    columns = 2 if fields.reader.flat and _row_length(fields.values["voxels"]) == 2 else 3
    voxels = fields.array("voxels", columns, "[[z, y, x], ...] with at least one voxel")
    return Scribble(np.pad(voxels, ((0, 0), (3 - columns, 0))), positive)


def _mask_from(fields: _Fields) -> MaskPrompt:
    if fields.has("file"):
        return MaskPrompt(fields.reader.mask_file(fields.raw("file"), fields.place("file")) > 0)
    shape = [int(n) for n in fields.array("shape", _row_length(fields.raw("shape")), "[D, H, W]")[0]]
    runs = fields.array("runs", 2, "[[start, length], ...] counted over the flattened mask").astype(int)
    flat = np.zeros(int(np.prod(shape)), bool)
    if (runs < 0).any() or (runs.sum(axis=1) > len(flat)).any():
        raise PromptError(f"{fields.place('runs')} leave the mask of shape {shape}")
    for start, length in runs:
        flat[start : start + length] = True
    return MaskPrompt(flat.reshape(shape))


def _recist_from(fields: _Fields) -> Recist:
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


_BUILDERS: dict[str, Callable[[_Fields], Prompt]] = {
    "box": _box_from,
    "box3d": _box3d_from,
    "point": _point_from,
    "scribble": _scribble_from,
    "mask": _mask_from,
    "recist": _recist_from,
}


def _row_length(value: object) -> int:
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    return len(value) if isinstance(value, list) else 0


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def prompts_to_json(objects: Sequence[ObjectPrompts]) -> dict[str, Any]:
    """The JSON that `prompts_from_json` reads back to equal prompts; masks as runs of the flattened array."""
    return {
        "objects": [
            ({} if one.name is None else {"name": one.name}) | {"prompts": [_to_json(mark) for mark in one.prompts]}
            for one in objects
        ]
    }


def _to_json(prompt: Prompt) -> dict[str, Any]:
    match prompt:
        case Point(z, y, x, positive):
            return {"kind": "point", "z": z, "y": y, "x": x, "positive": positive}
        case Box(z0, y0, x0, z1, y1, x1) if z1 == z0 + 1 and z0 == int(z0):
            return {"kind": "box", "z": int(z0), "y0": y0, "x0": x0, "y1": y1, "x1": x1}
        case Box(z0, y0, x0, z1, y1, x1):
            return {"kind": "box3d", "z0": z0, "y0": y0, "x0": x0, "z1": z1, "y1": y1, "x1": x1}
        case Recist(z, y0, x0, y1, x1):
            return {"kind": "recist", "z": z, "y0": y0, "x0": x0, "y1": y1, "x1": x1}
        case Scribble():
            voxels = np.asarray(prompt.voxels_zyx)
            return {"kind": "scribble", "voxels": voxels.tolist(), "positive": prompt.positive}
        case MaskPrompt():
            return {"kind": "mask", "shape": list(prompt.mask.shape), "runs": _runs(prompt.mask > 0)}
    raise PromptError(f"{type(prompt).__name__} is not a prompt")


def _runs(mask: np.ndarray) -> list[list[int]]:
    """(...) bool -> [[start, length], ...] over the flattened mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask.ravel(), [False]]).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    return [[int(start), int(stop - start)] for start, stop in zip(starts, stops, strict=True)]
