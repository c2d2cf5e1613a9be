"""A recipe's tables: TOML read, and each made into its dataclass, with every key and type looked at first."""

from __future__ import annotations

import math
import sys
import types
import typing
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from voxtrace.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotes"}


def read_table(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises InputError where there is none, or it is something else."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no recipe at {path}") from None
    except IsADirectoryError:
        raise InputError(f"the recipe {path} is a folder; name the .toml file in it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}") from None
    except OSError as error:
        raise InputError(f"the recipe {path} cannot be read: {error.strerror}") from None


def made(kind: type, values: Any, where: str, like: Any = None) -> Any:
    """`kind` from a table; what the table leaves out is as in `like`, or the default. Values stay as they are written:
    a state remembers them so. Raises InputError naming unknown and missing keys and values of a wrong type."""
    values = table_of(values, where)
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(f"{where}: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    missing = [n for n, f in known.items() if f.default is f.default_factory is MISSING and n not in values]
    if missing and like is None:
        raise InputError(f"{where}: {', '.join(missing)} must be given")
    hints = typing.get_type_hints(kind)
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise InputError(f"{where}: {name} is {value!r}; {_words(hints[name])} is needed")
    return kind(**values) if like is None else replace(like, **values)


def table_of(values: Any, where: str) -> dict[str, Any]:
    """`values` if it is a table. Raises InputError."""
    if not isinstance(values, dict):
        raise InputError(f"{where} is {values!r}; a table is expected")
    return values


def lengths_of(values: Any, where: str) -> dict[int, float]:
    """{frames of a clip: chance}. Raises InputError."""
    found = {}
    for length, chance in table_of(values, where).items():
        if not str(length).isdigit() or int(length) < 1:
            raise InputError(f"{where}: {length} is no clip length; lines like 4 = 0.5 are needed: frames = chance")
        if not _fits(chance, float) or chance < 0:
            raise InputError(f"{where}: {length} = {chance!r}; a chance of 0 or more is needed")
        found[int(length)] = float(chance)
    if not any(round(chance * 20) > 0 for chance in found.values()):  # as `feeding` counts them
        raise InputError(f"{where}: give at least one length of 1 or more frames with a chance of 0.05 or more")
    return found


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, list | tuple) and len(value) == len(inner) and all(map(_fits, value, inner))
    if origin is list:
        return isinstance(value, list) and all(_fits(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(one, inner[1]) for one in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in inner if one is not type(None))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"a list of {len(inner)}, each {_words(inner[0])},"
    if origin is list:
        return f"a list, each {_words(inner[0])},"
    if origin is dict:
        return f"a table, each value {_words(inner[1])},"
    return NAMES.get(hint, "a table")
