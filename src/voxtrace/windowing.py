"""Which grey values are shown: from Hounsfield units, MR or PET numbers to the uint8 that a net sees.

A window is a value: what to show, said in a text that can be parsed again (`str(window)`). `limits(array)` settles it
on a whole scan, once, so that all slices are shown alike; `apply(array)` does both steps.
"""

from __future__ import annotations

import difflib
import re
import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from voxtrace.errors import InputError
from voxtrace.mapped import is_mapped, slabs
from voxtrace.volume import Picture, Volume

SAMPLED_VALUES = 2**23  # percentiles of more values than these are taken from an even sample
AIR_HU = (-1100, -900)
TISSUE_HU = (-150, 300)


@dataclass(frozen=True, slots=True)
class Limits:
    """A window settled on a scan: `low` and below is black, `high` and above white; `fill` stands for NaN and inf."""

    low: float
    high: float
    fill: float = 0.0

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Any real array -> uint8 of the same shape, linear between the limits."""
        if array.dtype == np.uint8 and (self.low, self.high) == (0, 255):
            return array
        values = array.astype(np.float32)
        if array.dtype.kind == "f":
            values[~np.isfinite(values)] = self.fill
        width = self.high - self.low
        if width <= 0:
            return np.zeros(array.shape, np.uint8)
        values -= np.float32(self.low)
        values /= np.float32(width)
        values *= 255
        return np.clip(values, 0, 255, out=values).astype(np.uint8)


class Window(Protocol):
    """What all windows can do."""

    __slots__ = ()

    @abstractmethod
    def limits(self, array: np.ndarray) -> Limits:
        """Settle the window on the values of a whole scan. InputError if none of them is finite."""
        ...

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Any real array -> uint8 of the same shape."""
        return self.limits(array).apply(array)


@dataclass(frozen=True, slots=True)
class Level(Window):
    """A fixed window, as radiologists name it: `level` is the centre, in the scan's own unit (CT: HU)."""

    level: float
    width: float

    def limits(self, array: np.ndarray) -> Limits:
        """The same for every scan."""
        return Limits(self.level - self.width / 2, self.level + self.width / 2, _fill(array))

    def __str__(self) -> str:
        return f"{self.level:g}/{self.width:g}"


@dataclass(frozen=True, slots=True)
class Percentile(Window):
    """From the `low`-th to the `high`-th percentile (0..100) of the values that are not zero: MR, PET and others."""

    low: float = 0.5
    high: float = 99.5

    def limits(self, array: np.ndarray) -> Limits:
        """Percentiles of the scan; its whole range where they coincide."""
        fill = _fill(array)
        values = _sample(array)
        values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        nonzero = values[values != 0]
        if nonzero.size and nonzero.dtype != bool:
            low, high = np.percentile(nonzero, [self.low, self.high])
            if high > low:
                return Limits(float(low), float(high), fill)
        return FullRange().limits(array)

    def __str__(self) -> str:
        return f"p{self.low:g}-{self.high:g}"


@dataclass(frozen=True, slots=True)
class FullRange(Window):
    """From the smallest to the largest finite value. A constant array becomes black."""

    def limits(self, array: np.ndarray) -> Limits:
        """Smallest and largest finite value."""
        fill = _fill(array)
        if array.dtype.kind != "f":
            return Limits(fill, float(max(part.max() for _, part in slabs(array))), fill)
        tops = [np.max(part, initial=-np.inf, where=np.isfinite(part)) for _, part in slabs(array)]
        return Limits(fill, float(max(tops)), fill)

    def __str__(self) -> str:
        return "full"


@dataclass(frozen=True, slots=True)
class AsIs(Window):
    """0..255 stays what it is: pictures, and scans that somebody windowed before."""

    def limits(self, array: np.ndarray) -> Limits:
        """0 and 255: values beyond are cut."""
        return Limits(0.0, 255.0, _fill(array))

    def __str__(self) -> str:
        return "as-is"


NAMED: dict[str, Window] = {
    "abdomen": Level(40, 400),
    "soft-tissue": Level(40, 400),
    "mediastinum": Level(50, 350),
    "liver": Level(30, 150),
    "lung": Level(-600, 1500),
    "brain": Level(40, 80),
    "subdural": Level(75, 215),
    "stroke": Level(40, 40),
    "angiography": Level(300, 600),
    "bone": Level(400, 1800),
    "temporal-bone": Level(600, 2800),
    "mr": Percentile(0.5, 99.5),
    "pet": Percentile(0.5, 99.5),
    "full": FullRange(),
    "as-is": AsIs(),
}


def parse_window(text: str) -> Window:
    """A name ("lung", "soft tissue", "full"), "LEVEL/WIDTH" ("40/400", "-600/1500") or percentiles ("p0.5-99.5").

    Raises InputError that names the nearest known names.
    """
    name = re.sub(r"[\s_]+", "-", text.strip().lower())
    if name in NAMED:
        return NAMED[name]
    number = r"([-+]?\d+(?:\.\d+)?)"
    if match := re.fullmatch(rf"{number}/{number}", name):
        return _level(*map(float, match.groups()))
    if match := re.fullmatch(r"p(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", name):
        return _percentile(*map(float, match.groups()))
    near = difflib.get_close_matches(name, NAMED, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"names are {', '.join(NAMED)}"
    raise InputError(f"unknown window {text!r}: {hint} Or give LEVEL/WIDTH as 40/400, or percentiles as p0.5-99.5")


def automatic(scan: Volume | Picture) -> Window:
    """A sensible window from the modality and the values.

    - uint8 stays as it is: pictures, and scans windowed before.
    - CT, by its modality or because it looks like Hounsfield units (whole numbers, air and tissue): soft tissue 40/400,
      also for a chest: lungs are black in it, so ask for "lung" when the object is in the lung.
      A "CT" without any negative value does not hold Hounsfield units and is treated as unknown.
    - colour of more than 8 bits: its full range. Masks (bool): their full range.
    - all else (MR, PET, X-ray, unknown): 0.5 to 99.5 percentile of the values that are not zero.

    Raises InputError if no value is finite.
    """
    array = scan.array if isinstance(scan, Volume) else scan.pixels
    if array.dtype == np.uint8:
        return AsIs()
    if array.dtype == bool or (array.ndim == 3 and isinstance(scan, Picture)):
        return FullRange()
    _fill(array, quietly=True)
    if scan.modality in ("CT", None) and _is_hounsfield(_sample(array), sure=scan.modality == "CT"):
        return NAMED["soft-tissue"]
    return Percentile()


def grey_rgb(grey: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 -> (H, W, 3) uint8, contiguous: grey three times."""
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else np.ascontiguousarray(grey)


def _level(level: float, width: float) -> Level:
    if width <= 0:
        raise InputError(f"window {level:g}/{width:g} has no width; give LEVEL/WIDTH, as 40/400")
    return Level(level, width)


def _percentile(low: float, high: float) -> Percentile:
    if not 0 <= low < high <= 100:
        raise InputError(f"window p{low:g}-{high:g}: percentiles must rise within 0..100, as p0.5-99.5")
    return Percentile(low, high)


def _fill(array: np.ndarray, quietly: bool = False) -> float:
    """The smallest finite value, which stands for NaN and inf; says so in a warning where there are any."""
    if array.size == 0:
        raise InputError(f"an array of shape {array.shape} has no values")
    if array.dtype.kind not in "fiub":
        raise InputError(f"values of type {array.dtype} cannot be shown as grey; real numbers are needed")
    if array.dtype.kind != "f":
        return float(min(part.min() for _, part in slabs(array)))
    good, fill = 0, float("inf")
    for _, part in slabs(array):
        finite = np.isfinite(part)
        good += int(np.count_nonzero(finite))
        fill = min(fill, float(np.min(part, initial=np.inf, where=finite)))
    bad = array.size - good
    if not good:
        raise InputError(f"all {bad} values are NaN or infinite: there is nothing to segment")
    if bad and not quietly:
        warnings.warn(f"{bad} of {array.size} values are NaN or infinite; they are shown as {fill:g}", stacklevel=4)
    return fill


def _sample(array: np.ndarray) -> np.ndarray:
    """All values, flat, or an even sample of a large array; the odd step visits all columns."""
    step = 1 if array.size <= SAMPLED_VALUES else (array.size // SAMPLED_VALUES) | 1
    if step == 1 and not is_mapped(array):
        return array.reshape(-1)
    each = array[0].size
    return np.concatenate([part.reshape(-1)[-start * each % step :: step].copy() for start, part in slabs(array)])


def _is_hounsfield(values: np.ndarray, sure: bool) -> bool:
    """Whether values can be HU. Not `sure` of a CT: they must be whole numbers, with air and tissue among them."""
    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not values.size or values.min() >= 0:
        return False
    if sure:
        return True
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    air, tissue = (np.mean((values >= low) & (values <= high)) for low, high in (AIR_HU, TISSUE_HU))
    return bool(whole and air > 0.001 and tissue > 0.1)
