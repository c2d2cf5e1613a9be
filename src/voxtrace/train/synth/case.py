"""One synthetic case: drawn, painted, blemished, and only its visible objects kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from voxtrace.train.cases import LabelledObject, LoadedCase, find_objects
from voxtrace.train.synth import ribbons, solids, vessels
from voxtrace.train.synth.blemishes import blemished
from voxtrace.train.synth.canvas import Canvas
from voxtrace.train.synth.fields import Shape
from voxtrace.train.synth.films import film
from voxtrace.train.synth.painting import painted
from voxtrace.train.synth.visibility import visible

LEAST_FLAT, LEAST_DEEP = 60, 120  # voxels of an object that is asked for
ONE_PIECE = 0.8
DRAWN: tuple[tuple[float, Callable[[np.random.Generator, Canvas], None]], ...] = (
    (0.22, solids.blobs),
    (0.13, solids.nested),
    (0.08, solids.cells),
    (0.11, solids.crowd),
    (0.10, solids.pieces),
    (0.10, vessels.trees),
    (0.06, vessels.tubes),
    (0.09, ribbons.walls),
    (0.07, ribbons.folds),
    (0.04, ribbons.layers),
)


def synthetic_case(rng: np.random.Generator, flat: bool = False, device: str | torch.device = "cpu") -> LoadedCase:
    """A picture (1, H, W[, 3]) or volume (D, H, W), uint8, with its objects; a third of volumes has thick slices."""
    while True:
        thick = 1 if flat or rng.random() > 0.35 else int(rng.integers(2, 6))
        canvas = Canvas.blank(_shape(rng, flat, thick))
        draw(rng, canvas)
        coloured = flat and rng.random() < 0.4
        image, _ = painted(rng, canvas, 3 if coloured else 1, device)
        labels = canvas.labels
        if thick > 1:
            image, labels = _in_slabs(image, thick), labels[thick // 2 :: thick][: len(labels) // thick]
        frames, labels = seen(blemished(rng, image, coloured), labels)
        objects = [one for one in kept(frames, labels, LEAST_FLAT if flat else LEAST_DEEP) if in_one_piece(one.crop)]
        if objects:
            kind = "image" if flat else "volume"
            return _loaded(kind, frames, objects, (float(thick), 1.0, 1.0))


def synthetic_film(rng: np.random.Generator, device: str | torch.device = "cpu") -> LoadedCase:
    """A film (T, H, W[, 3]), uint8, with its objects; an object may be absent from some frames."""
    while True:
        image, labels = film(rng, device)
        frames, labels = seen(blemished(rng, image, len(image) == 3), labels)
        objects = kept(frames, labels, LEAST_DEEP)
        if objects:
            return _loaded("video", frames, objects, (1.0, 1.0, 1.0))


def draw(rng: np.random.Generator, canvas: Canvas) -> None:
    """One to three kinds of things."""
    chances = np.array([chance for chance, _ in DRAWN])
    for index in rng.choice(len(DRAWN), size=int(rng.integers(1, 4)), replace=False, p=chances / chances.sum()):
        DRAWN[index][1](rng, canvas)


def kept(frames: np.ndarray, labels: np.ndarray, least: int) -> list[LabelledObject]:
    """The objects that are large enough and visible; the others stay in the picture, unlabelled."""
    if not labels.any():
        return []
    seen = visible(frames, labels)
    found = find_objects(labels, parts=False).get("whole", [])
    return [one for one in found if seen[one.label] and one.crop.sum() >= least]


def in_one_piece(crop: np.ndarray) -> bool:
    """Whether nearly all of an object hangs together: what others were drawn over may be left in bits."""
    pieces, count = ndimage.label(crop)
    return count == 1 or bool(np.bincount(pieces.ravel())[1:].max() >= ONE_PIECE * crop.sum())


def seen(image: Tensor, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C, D, H, W) in 0..1 -> (D, H, W) or (D, H, W, 3) uint8; what is not shown is black and not labelled."""
    hidden = image[0].isnan()
    if hidden.any():
        labels = np.where(hidden.cpu().numpy(), 0, labels)
    values = (image.nan_to_num(0.0) * 255).clamp_(0, 255).to(torch.uint8).cpu()
    frames = values[0].numpy() if len(values) == 1 else np.ascontiguousarray(values.permute(1, 2, 3, 0).numpy())
    return frames, labels


def _in_slabs(image: Tensor, thick: int) -> Tensor:
    """Slices averaged by `thick`, as a thick slice holds what lies within it."""
    depth = image.shape[1] // thick
    return image[:, : depth * thick].unflatten(1, (depth, thick)).mean(2)


def _shape(rng: np.random.Generator, flat: bool, thick: int) -> Shape:
    """Before slices are averaged."""
    if flat:
        return 1, int(rng.integers(160, 288)), int(rng.integers(160, 288))
    depth = int(rng.integers(20, 72)) if thick == 1 else thick * int(rng.integers(10, max(12, 80 // thick)))
    return depth, int(rng.integers(64, 104)), int(rng.integers(64, 104))


def _loaded(
    kind: str, frames: np.ndarray, objects: list[LabelledObject], spacing: tuple[float, float, float]
) -> LoadedCase:
    labelled = tuple(range(len(frames)))
    return LoadedCase("synthetic", "synthetic", kind, "synthetic", frames, {"whole": objects}, labelled, spacing)
