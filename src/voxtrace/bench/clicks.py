"""Where the next click goes, as in the CVPR 2025 challenge on interactive 3D segmentation.

The rule is that of its published script (JunMa11/CVPR-MedSegFMCompetition, CVPR25_iter_eval.py): of all voxels where
mask and truth differ, missed and added ones together, the largest piece that hangs together by faces, edges or corners;
in it the voxel farthest from its outside, in voxels, whatever the spacing; of equally far ones the one that numpy's old
generator, seeded with 42, takes. `voxtrace.simulate.correction_click` keeps missed and added voxels apart instead.

Differs from the script: a picture is measured in its two axes. As a volume of one slice every voxel would lie at 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

TIES = 42


@dataclass(frozen=True, slots=True)
class Click:
    """A voxel (z, y, x), and whether the object is missing there (else there is too much)."""

    z: int
    y: int
    x: int
    positive: bool


def next_click(mask: np.ndarray, truth: np.ndarray) -> Click | None:
    """The click that mends most of a (D, H, W) bool mask; None where nothing is wrong."""
    wrong = mask != truth
    if not wrong.any():
        return None
    if len(wrong) == 1:
        y, x = _centre(_largest(wrong[0]))
        place = (0, y, x)
    else:
        place = _centre(_largest(wrong))  # type: ignore[assignment]
    return Click(*place, positive=bool(truth[place]))


def _largest(wrong: np.ndarray) -> np.ndarray:
    """The largest piece; of equally large ones the one that comes first in array order."""
    pieces, _ = ndimage.label(wrong, np.ones((3,) * wrong.ndim))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return pieces == sizes.argmax()


def _centre(piece: np.ndarray) -> tuple[int, ...]:
    """The voxel farthest from the outside, to which all beyond the array belongs; only the piece's box is worked on."""
    (box,) = ndimage.find_objects(piece.astype(np.uint8))
    inside = np.pad(piece[box], 1)
    depth = ndimage.distance_transform_edt(inside)
    deepest = np.argwhere(depth == depth.max())
    chosen = deepest[np.random.RandomState(TIES).choice(len(deepest))] - 1
    return tuple(int(v) + part.start for v, part in zip(chosen, box, strict=True))
