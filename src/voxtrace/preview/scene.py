"""What a preview shows, and which frames and which part of them are worth showing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from voxtrace.mapped import slabs
from voxtrace.preview.view import View
from voxtrace.prompts import Box, MaskPrompt, Point, Prompt, Recist, Scribble
from voxtrace.volume import Frames

TILES = 12


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What to draw. frames: (H, W, 3) uint8 each; labels (F, H, W) with 0 as background; prompts by label value.

    pixel_mm is (row, column). frame_word is "slice" or "frame"; frame_axis says which number of a prompt it is.
    """

    frames: Frames | Sequence[np.ndarray]
    labels: np.ndarray
    prompts: Mapping[int, Sequence[Prompt]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    pixel_mm: tuple[float, float] = (1.0, 1.0)
    view: View = field(default_factory=View)
    frame_axis: int = 0
    frame_word: str = "slice"
    title: str = ""
    notes: str = ""


def main_frame(scene: Scene) -> int:
    """The prompted frame; with several, the one with the most of the objects; without a prompt, the fullest."""
    sizes = _sizes(scene)
    marked = sorted({frame for marks in scene.prompts.values() for mark in marks for frame in frames_of(scene, mark)})
    marked = [frame for frame in marked if 0 <= frame < len(sizes)]
    if marked:
        return max(marked, key=lambda frame: sizes[frame])
    return int(sizes.argmax()) if sizes.any() else len(sizes) // 2


def shown_frames(scene: Scene, main: int) -> list[int]:
    """Evenly through the frames that hold an object, with one empty frame at each end."""
    found = np.flatnonzero(_sizes(scene))
    last = len(scene.labels) - 1
    if not len(found):
        start, stop = max(0, main - 2), min(last, main + 2)
    else:
        start, stop = max(0, int(found[0]) - 1), min(last, int(found[-1]) + 1)
    return np.unique(np.linspace(start, stop, min(TILES, stop - start + 1)).round().astype(int)).tolist()


def labels_in(scene: Scene) -> set[int]:
    """The labels that a voxel has."""
    return {int(value) for _, part in slabs(scene.labels) for value in np.unique(part) if value > 0}


def _sizes(scene: Scene) -> np.ndarray:
    """(F,) pixels of all objects on each frame."""
    sizes = np.zeros(len(scene.labels), int)
    for start, part in slabs(scene.labels):
        sizes[start : start + len(part)] = np.count_nonzero(part > 0, axis=(1, 2))
    return sizes


def whole_frame(scene: Scene) -> tuple[int, int, int, int]:
    return 0, 0, scene.labels.shape[1], scene.labels.shape[2]


def crop_of(scene: Scene) -> tuple[int, int, int, int]:
    """(row0, column0, row1, column1) around all objects with half their size as margin; at least 1/4 of the frame."""
    found: np.ndarray = np.zeros(scene.labels.shape[1:], bool)
    for _, part in slabs(scene.labels):
        found |= (part > 0).any(axis=0)
    if not found.any():
        return whole_frame(scene)
    spans = []
    for axis, size in ((1, found.shape[0]), (0, found.shape[1])):
        hits = np.flatnonzero(found.any(axis=axis))
        centre = (hits[0] + hits[-1] + 1) / 2
        half = max((hits[-1] + 1 - hits[0]), size / 4) * (1.0 if hits[-1] + 1 - hits[0] < size / 2 else 0.7)
        spans.append((max(0, int(centre - half)), min(size, int(np.ceil(centre + half)))))
    (row0, row1), (column0, column1) = spans
    return row0, column0, row1, column1


def frames_of(scene: Scene, mark: Prompt) -> list[int]:
    axis = scene.frame_axis
    match mark:
        case Point(z, y, x):
            return [round((z, y, x)[axis])]
        case Box():
            low, high = (mark.z0, mark.y0, mark.x0)[axis], (mark.z1, mark.y1, mark.x1)[axis]
            return [int((low + high - 1) // 2)] if high - low > 1 else [int(low)]
        case Recist():
            return [round(mark.z)]
        case Scribble():
            return np.unique(np.asarray(mark.voxels_zyx)[:, axis].round().astype(int)).tolist()
        case MaskPrompt():
            mask = mark.mask if mark.mask.ndim == 3 else mark.mask[None]
            parts = slabs(np.moveaxis(mask, axis, 0))
            return [start + int(n) for start, part in parts for n in np.flatnonzero((part > 0).any(axis=(1, 2)))]
    return []
