"""One mark in a prompts file: its keys, read with their meaning, each fault told with its place and the way out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.errors import PromptError

ReadMask = Callable[[Path], np.ndarray]
ToVoxel = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a prompts file refers to: where its files lie, how masks and millimetres are read, and whether the scan is
    flat, a picture."""

    folder: Path
    read_mask: ReadMask | None
    to_voxel: ToVoxel | None
    flat: bool

    def mask_file(self, value: object, where: str) -> np.ndarray:
        """The mask in a file that is named at `where`. Raises PromptError."""
        if not isinstance(value, str) or not value:
            raise PromptError(f"{where} is {value!r}; write the path of a mask file")
        if self.read_mask is None:
            raise PromptError(f"{where}: files cannot be read here; give voxels instead")
        path = self.folder / value
        if not path.exists():
            raise PromptError(f"{where}: {path} does not exist")
        return self.read_mask(path)

    def voxels(self, points_mm: np.ndarray, where: str) -> np.ndarray:
        """(N, 3) LPS mm -> (N, 3) voxels (z, y, x). Raises PromptError where the scan has no such geometry."""
        if self.to_voxel is None:
            raise PromptError(f"{where}: this input has no millimetre geometry; give z, y, x in voxels")
        return self.to_voxel(points_mm)


class Fields:
    """One prompt's keys; remembers which were read, so that a misspelt one is told."""

    def __init__(self, values: Mapping[str, Any], where: str, around: Surroundings) -> None:
        self.values, self.where, self.around = values, where, around
        self.used: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether the mark has this key."""
        return key in self.values

    def raw(self, key: str) -> Any:
        """The value as it stands there. Raises PromptError if it is not there."""
        self.used.add(key)
        if key not in self.values:
            raise PromptError(f"{self.where} needs {key!r}; it has {', '.join(sorted(self.values)) or 'nothing'}")
        return self.values[key]

    def place(self, key: str) -> str:
        """Where a key stands, for messages."""
        return f"{self.where}.{key}"

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise PromptError(f"{self.place(key)} is {value!r}; write a number (voxels counted from 0)")
        return float(value)

    def frame(self) -> float:
        """z, which a picture may leave out."""
        return 0.0 if self.around.flat and not self.has("z") else self.number("z")

    def whole_frame(self) -> int:
        """z as a whole number."""
        value = self.frame()
        if value != int(value):
            raise PromptError(f"{self.place('z')} is {value:g}; a slice is a whole number")
        return int(value)

    def flag(self, key: str, otherwise: bool) -> bool:
        """True or false; `otherwise` if the key is not there."""
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
        return self.around.voxels(points, self.place(key))

    def check_all_used(self, kind: str) -> None:
        """Raise PromptError if a key was never asked for: it is misspelt, or means nothing for this kind."""
        unknown = sorted(set(self.values) - self.used)
        if unknown:
            raise PromptError(
                f"{self.where} has the unknown key {unknown[0]!r}; a {kind} takes {', '.join(sorted(self.used))}"
            )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
