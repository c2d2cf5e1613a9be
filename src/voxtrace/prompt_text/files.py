"""Prompts files: JSON with several objects, each with a name and any kinds of marks.

{"objects": [{"name": "liver", "prompts": [{"kind": "point", "z": 3, "y": 40, "x": 51, "positive": true}]}]}

box      z y0 x0 y1 x1                     box3d     z0 y0 x0 z1 y1 x1   | box_mm [[x,y,z],[x,y,z]]
point    z y x          | point_mm [x,y,z] recist    z y0 x0 y1 x1       | line_mm [[x,y,z],[x,y,z]]
scribble voxels [[z,y,x],...] | points_mm [[x,y,z],...] | file           positive (points too): true or false
mask     file           | shape, runs [[start, length], ...] over the flattened mask
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.errors import PromptError
from voxtrace.prompt_text.fields import Fields, ReadMask, Surroundings, ToVoxel
from voxtrace.prompt_text.kinds import KINDS
from voxtrace.prompts import Prompt


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
    around = Surroundings(folder or Path(), read_mask, to_voxel, flat)
    objects = _items(data, "", "objects", '{"objects": [{"name": "liver", "prompts": [...]}]}')
    found = [_object(item, f"objects[{number}]", around) for number, item in enumerate(objects)]
    names = [one.name for one in found if one.name is not None]
    for name in names:
        if names.count(name) > 1:
            raise PromptError(f"two objects are named {name!r}; give each its own name")
    return found


def _object(data: object, where: str, around: Surroundings) -> ObjectPrompts:
    marks = _items(data, where, "prompts", '{"prompts": [{"kind": "box", ...}]}')
    assert isinstance(data, Mapping)
    name = data.get("name")
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise PromptError(f"{where}.name is {name!r}; a name is a text that is not empty")
    unknown = sorted(set(data) - {"name", "prompts"})
    if unknown:
        raise PromptError(f"{where} has the unknown key {unknown[0]!r}; an object has 'name' and 'prompts'")
    prompts = tuple(_prompt(mark, f"{where}.prompts[{number}]", around) for number, mark in enumerate(marks))
    return ObjectPrompts(prompts, name)


def _prompt(data: object, where: str, around: Surroundings) -> Prompt:
    if not isinstance(data, Mapping) or data.get("kind") not in KINDS:
        kind = data.get("kind") if isinstance(data, Mapping) else data
        raise PromptError(f"{_join(where, 'kind')} is {kind!r}; one of {', '.join(KINDS)}")
    fields = Fields({key: value for key, value in data.items() if key != "kind"}, where, around)
    prompt = KINDS[data["kind"]](fields)
    fields.check_all_used(data["kind"])
    return prompt


def _items(data: object, where: str, key: str, form: str) -> list[Any]:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, list):
        raise PromptError(f"{where or 'the file'} needs a list {key!r}: {form}")
    if not value:
        raise PromptError(f"{_join(where, key)} is empty; name at least one: {form}")
    return value


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
