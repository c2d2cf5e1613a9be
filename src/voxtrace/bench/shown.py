"""An object as a person would look at it: a frame or two, cut to it, with reference, prediction and prompt.

Small enough to be kept with the results: at most 384 pixels a side, turned as a radiologist reads it.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from voxtrace.errors import InputError
from voxtrace.preview.view import View
from voxtrace.prompts import FramePrompt

SIDE = 384
MARGIN = 0.5  # of the object's size, to each side of it


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A part of a frame. picture: (h, w) or (h, w, 3) uint8; truth, mask: (h, w) bool; given: (h, w) bool, a mask
    prompt, empty without one. points_xy: (P, 2) in its pixels with 0 at the first one's edge, labels: (P,) as in
    FramePrompt. aspect: a pixel's height over its width. marked: whether the prompt lies on this frame."""

    frame: int
    marked: bool
    aspect: float
    picture: np.ndarray
    truth: np.ndarray
    mask: np.ndarray
    given: np.ndarray
    points_xy: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """An object's frames, and what is known of it: model, prompt, z_range, set, case, object, dsc, nsd, and so on."""

    about: Mapping[str, Any]
    frames: tuple[Shown, ...]


def shown(
    frame: int,
    picture: np.ndarray,
    truth: np.ndarray,
    mask: np.ndarray,
    prompt: FramePrompt | None = None,
    view: View | None = None,
    pixel_mm: tuple[float, float] = (1.0, 1.0),
) -> Shown:
    """Cut a frame to its object. picture: (H, W, 3) uint8, truth and mask: (H, W) bool, all as in the file."""
    view = view or View()
    marks = prompt or FramePrompt()
    given = np.zeros(truth.shape, bool) if marks.mask is None else marks.mask
    points = view.places(marks.points_xy[:, ::-1], truth.shape)  # type: ignore[arg-type]
    picture, truth, mask, given = (view.pixels(array) for array in (picture, truth, mask, given))
    part, corner = _part(truth | mask | given, points)
    tall, wide = truth[part].shape
    scale = min(1.0, SIDE / max(tall, wide))
    size = max(1, round(wide * scale)), max(1, round(tall * scale))
    pixels = np.asarray(Image.fromarray(np.ascontiguousarray(picture[part])).resize(size, Image.Resampling.BOX))
    grey = pixels.ndim == 3 and bool((pixels == pixels[..., :1]).all())
    down, across = view.size_mm(pixel_mm)
    return Shown(
        frame=frame,
        marked=prompt is not None,
        aspect=down / across,
        picture=pixels[..., 0] if grey else pixels,
        truth=_thinned(truth[part], size),
        mask=_thinned(mask[part], size),
        given=_thinned(given[part], size),
        points_xy=((points - corner) * [size[1] / tall, size[0] / wide])[:, ::-1],
        labels=marks.labels,
    )


def write_sight(path: Path, sight: Sight) -> None:
    """One .npz, no pickle. Raises OSError."""
    arrays: dict[str, np.ndarray] = {"about": np.array(json.dumps(dict(sight.about)))}
    for number, one in enumerate(sight.frames):
        plain = {"frame": one.frame, "marked": one.marked, "aspect": one.aspect}
        arrays |= {f"{number}_{name}": np.array(value) for name, value in plain.items()}
        arrays |= {f"{number}_{name}": getattr(one, name) for name in ARRAYS}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_sight(path: Path) -> Sight:
    """What `write_sight` wrote. Raises InputError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            count = sum(name.endswith("_frame") for name in archive.files)
            return Sight(json.loads(str(archive["about"])), tuple(_read(archive, number) for number in range(count)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no picture of a case that voxtrace kept: {error}") from None


ARRAYS = ("picture", "truth", "mask", "given", "points_xy", "labels")


def _read(archive: Mapping[str, np.ndarray], number: int) -> Shown:
    frame, marked, aspect = (archive[f"{number}_{name}"].item() for name in ("frame", "marked", "aspect"))
    return Shown(frame, marked, aspect, *(archive[f"{number}_{name}"] for name in ARRAYS))


def _part(found: np.ndarray, points: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """Where the object and its marks lie, with a margin; and the part's corner. points: (P, 2) row, column."""
    rows, columns = np.nonzero(found)
    places = np.concatenate([points, np.stack([rows, columns], 1), np.stack([rows + 1, columns + 1], 1)])
    shape = np.array(found.shape)
    if not len(places):
        return (slice(None), slice(None)), np.zeros(2)
    low, high = np.floor(places.min(0)), np.ceil(places.max(0))
    side = (high - low).max()
    margin = np.maximum(MARGIN * side, 12) + (side - (high - low)) / 2  # a long object is shown in a square
    low, high = np.maximum(low - margin, 0).astype(int), np.minimum(high + margin, shape).astype(int)
    return (slice(low[0], high[0]), slice(low[1], high[1])), low.astype(float)


def _thinned(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mask at another size (w, h); a thin object does not vanish: half a pixel of it is enough."""
    soft = Image.fromarray(np.ascontiguousarray(mask).astype(np.uint8) * 255)
    return np.asarray(soft.resize(size, Image.Resampling.BOX)) > 100


def most_different(masks: np.ndarray, truths: np.ndarray, frames: Sequence[int]) -> int:
    """Of `frames` the one on which two (F, H, W) masks differ most; the first of equals."""
    return frames[int((masks != truths).sum(axis=(1, 2)).argmax())]
