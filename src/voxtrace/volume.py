"""The three things a file can be: a Volume, a Picture or a Video. Values only; reading is in voxtrace.io.

Arrays are (z, y, x) = (D, H, W). The affine maps a voxel's (x, y, z, 1), counted from 0, to millimetres in LPS
(left, posterior, superior: as DICOM and ITK). Nothing is reoriented: an index means what it means in the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from voxtrace.errors import GeometryError


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A scan or mask with its geometry.

    array: (D, H, W), any real dtype, in the file's own voxel order.
    affine_lps: (4, 4) float64; (x, y, z, 1) voxels -> LPS mm.
    modality: "CT", "MR", "PT", "US", ... as DICOM names it, or None when the file does not say.
    source: the file or folder it came from; None for arrays made in memory.
    """

    array: np.ndarray
    affine_lps: np.ndarray = field(default_factory=lambda: np.eye(4))
    modality: str | None = None
    source: Path | None = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise GeometryError(f"a volume has three axes (z, y, x); this array has shape {self.array.shape}")
        affine = np.asarray(self.affine_lps, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(f"affine_lps must be a finite (4, 4) matrix, not {affine.tolist()}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise GeometryError(f"affine_lps is singular (a spacing of zero or two equal axes): {affine.tolist()}")
        object.__setattr__(self, "affine_lps", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D, H, W)."""
        return self.array.shape  # type: ignore[return-value]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (z, y, x), in mm: array order."""
        x, y, z = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(z), float(y), float(x)

    def like(self, array: np.ndarray) -> Volume:
        """The same geometry around another (D, H, W) array."""
        if array.shape != self.shape:
            raise GeometryError(f"an array of shape {array.shape} cannot take the geometry of a scan of {self.shape}")
        return replace(self, array=array, source=None)

    def same_geometry(self, other: Volume, tolerance_mm: float = 1e-2) -> bool:
        """Whether every corner voxel of both lies at the same place, within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        far = np.array(self.shape) - 1
        corners = np.array([[z, y, x] for z in (0, far[0]) for y in (0, far[1]) for x in (0, far[2])], float)
        return bool(np.abs(self.to_mm(corners) - other.to_mm(corners)).max() <= tolerance_mm)

    def to_mm(self, points_zyx: np.ndarray) -> np.ndarray:
        """(..., 3) voxels (z, y, x) -> (..., 3) LPS mm (x, y, z)."""
        points = np.asarray(points_zyx, dtype=np.float64)
        return points[..., ::-1] @ self.affine_lps[:3, :3].T + self.affine_lps[:3, 3]

    def to_voxel(self, points_mm: np.ndarray) -> np.ndarray:
        """(..., 3) LPS mm (x, y, z) -> (..., 3) float voxels (z, y, x)."""
        shifted = np.asarray(points_mm, dtype=np.float64) - self.affine_lps[:3, 3]
        return (shifted @ np.linalg.inv(self.affine_lps[:3, :3]).T)[..., ::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A 2D image: pixels (H, W) or (H, W, 3), any real dtype. spacing_mm is (y, x), or None: a photo has none."""

    pixels: np.ndarray
    spacing_mm: tuple[float, float] | None = None
    modality: str | None = None
    source: Path | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pixels.shape[:2]  # type: ignore[return-value]


class Frames(Protocol):
    """An ordered set of frames: a volume's slices, a video's frames, a folder of images. See voxtrace.frames."""

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Frame `index`, counted from 0: (H, W, 3) uint8."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A moving picture, frames read on demand. fps is None for a folder of frames."""

    frames: Frames
    shape: tuple[int, int, int]
    fps: float | None = None
    modality: str | None = None
    source: Path | None = None
