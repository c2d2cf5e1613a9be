"""Random movements for training clips, on CPU tensors, drawn from a numpy generator so that they repeat.

Geometry is one backward map: output pixel -> movement, bend, turn and window -> source pixel, read once by
grid_sample. "Unit" coordinates run from -1 to 1 over a square window, in (x, y) order as grid_sample wants them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

Matrix = np.ndarray  # (3, 3) float64, on (x, y, 1)


@dataclass(frozen=True, slots=True)
class Strength:
    """How far to go; probabilities and half-widths. Zeros everywhere leave the picture as it is."""

    flip: float = 0.5
    quarter_turns: float = 0.3
    turn: float = 0.35
    turn_degrees: float = 25.0
    scale: float = 0.1
    shear: float = 0.1
    bend: float = 0.2
    stretch: float = 0.1
    tone: float = 0.7
    invert: float = 0.15
    bias: float = 0.15
    noise: float = 0.25
    blur: float = 0.15
    coarse: float = 0.1
    colour: float = 0.5
    shuffle: float = 0.05
    to_grey: float = 0.1

    @classmethod
    def none(cls) -> Strength:
        """No change at all: for pictures of the data and for tests."""
        return cls(*([0.0] * len(cls.__dataclass_fields__)))


def placement(rng: np.random.Generator, strength: Strength, about_xy: tuple[float, float] = (0.0, 0.0)) -> Matrix:
    """One random flip, turn, scale and shear of the window: unit -> unit. Free turns are about `about_xy`, the object's
    middle in the window, so that one at the window's edge is not turned out of sight."""
    matrix = np.eye(3)
    if rng.random() < strength.flip:
        matrix = np.diag([-1.0, 1, 1])
    if rng.random() < strength.quarter_turns:
        matrix = _turned(90.0 * rng.integers(1, 4)) @ matrix
    if rng.random() < strength.turn:
        stretch = np.exp(rng.uniform(-1, 1, 2) * strength.scale)
        slant = np.array([[1, rng.uniform(-1, 1) * strength.shear, 0], [0, 1, 0], [0, 0, 1]])
        turn = slant @ np.diag([*stretch, 1.0]) @ _turned(rng.uniform(-1, 1) * strength.turn_degrees)
        matrix = about(about_xy, turn) @ matrix
    return matrix


def about(centre_xy: tuple[float, float], matrix: Matrix) -> Matrix:
    """The same turn and scale, but with `centre_xy` as the point that stays."""
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = centre_xy, np.negative(centre_xy)
    return there @ matrix @ back


def motion(rng: np.random.Generator, frames: int, leaves: bool) -> list[Matrix]:
    """A smooth random walk of the camera over `frames`, starting at rest; `leaves`: what is in the middle goes out."""
    velocity = rng.normal(0, 0.04, 2)
    spin, growth = rng.normal(0, 4.0), rng.normal(0, 0.03)
    if leaves:
        angle = rng.uniform(0, 2 * np.pi)
        velocity = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(1.2, 2.2) / max(frames - 1, 1)
    place, degrees, size = np.zeros(2), 0.0, 0.0
    steps = []
    for _ in range(frames):
        matrix = _turned(degrees) @ np.diag([np.exp(size), np.exp(size), 1.0])
        matrix[:2, 2] = place
        steps.append(matrix)
        place, degrees, size = place + velocity, degrees + spin, size + growth
        if not leaves:
            velocity = velocity * 0.7 + rng.normal(0, 0.04, 2)
        spin, growth = spin * 0.7 + rng.normal(0, 2.0), growth * 0.7 + rng.normal(0, 0.02)
    return steps


def grid(matrices: list[Matrix], size: int, bends: torch.Tensor | None = None) -> torch.Tensor:
    """Backward maps (T of 3x3, output unit -> source unit) -> (T, size, size, 2) float32, for grid_sample.

    bends: (T or 1, size, size, 2) added to the output coordinates before the matrix, or None.
    """
    flows = torch.empty(len(matrices), size, size, 2)
    line = _line(size)
    for flow, matrix, bend in zip(flows, matrices, _for_each(bends, len(matrices)), strict=True):
        for axis in (0, 1):
            along_x, along_y, shift = (float(v) for v in matrix[axis])
            torch.add(line * along_x, (line * along_y + shift)[:, None], out=flow[..., axis])
            if bend is not None:
                flow[..., axis].add_(bend[..., 0], alpha=along_x).add_(bend[..., 1], alpha=along_y)
    return flows


def bending(rng: np.random.Generator, frames: int, size: int, moving: bool) -> torch.Tensor:
    """Smooth random displacement, (T or 1, size, size, 2) in unit; `moving`: it drifts from one field to another."""
    nodes = int(rng.integers(4, 8))
    ends = rng.normal(0, rng.uniform(0.05, 0.25) / nodes, (2 if moving else 1, 2, nodes, nodes))
    fields = smooth(ends, size).permute(0, 2, 3, 1)
    if not moving:
        return fields
    share = torch.linspace(0, 1, frames)[:, None, None, None]
    return torch.lerp(fields[:1], fields[1:], share)


def swelling(centre_xy: tuple[float, float], radius: float, amounts: np.ndarray, size: int) -> torch.Tensor:
    """Displacement that shrinks (amount > 0, below 2) or grows (< 0) what is near `centre_xy`; (T, size, size, 2)."""
    x, y = _line(size) - centre_xy[0], _line(size)[:, None] - centre_xy[1]
    narrow = -1 / (2 * max(radius, 0.05) ** 2)
    bell = torch.exp(x**2 * narrow) * torch.exp(y**2 * narrow)
    return torch.from_numpy(amounts.astype(np.float32))[:, None, None, None] * torch.stack([x * bell, y * bell], -1)


def without_object(picture: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """(1, C, H, W) with what `mask` (1, 1, H, W) covers replaced by its surroundings, smooth and as noisy as they."""
    grown = _grown(mask, 4)
    known = 1 - grown
    filled = _pushed_and_pulled(picture * known, known)
    spread = float((picture[..., 1:] - picture[..., :-1]).mul_(known[..., 1:]).std()) / 2**0.5
    grain = torch.from_numpy(rng.standard_normal((1, 1, *picture.shape[-2:]), dtype=np.float32)) * spread
    return torch.lerp(picture, filled + grain, grown)


def pooled(pictures: torch.Tensor, factor: int) -> torch.Tensor:
    """(..., H, W) averaged over factor x factor pixels; the last ones of an odd size count again. Sums of strided views
    are several times faster on a CPU than avg_pool2d."""
    if factor == 1:
        return pictures
    height, width = pictures.shape[-2:]
    pictures = F.pad(pictures, (0, -width % factor, 0, -height % factor), mode="replicate")
    rows = sum(pictures[..., i::factor, :] for i in range(1, factor)) + pictures[..., ::factor, :]
    total = sum(rows[..., i::factor] for i in range(1, factor)) + rows[..., ::factor]
    return total / factor**2


def _turned(degrees: float) -> Matrix:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def _pushed_and_pulled(weighted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Fill where weight is 0 from ever coarser averages of where it is not."""
    if min(weight.shape[-2:]) <= 2:
        total = weight.sum((-2, -1), keepdim=True).clamp_min(1e-6)
        return (weighted.sum((-2, -1), keepdim=True) / total).expand_as(weighted)
    coarse = _pushed_and_pulled(pooled(weighted, 2), pooled(weight, 2))
    guess = F.interpolate(coarse, size=weight.shape[-2:], mode="bilinear", align_corners=False)
    return torch.lerp(guess, weighted / weight.clamp_min(1e-6), weight.clamp(0, 1))


def _grown(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """(1, 1, H, W) dilated by a square of `reach` pixels to each side."""
    for axis in (-2, -1):
        padded = F.pad(mask, (0, 0, reach, reach) if axis == -2 else (reach, reach))
        size = mask.shape[axis]
        mask = torch.stack([padded.narrow(axis, i, size) for i in range(2 * reach + 1)]).amax(0)
    return mask


def smooth(nodes: np.ndarray, size: int) -> torch.Tensor:
    """(N, C, k, k) -> (N, C, size, size) float32; cubic up to 32 pixels, linear from there, which is much faster."""
    coarse = torch.from_numpy(nodes.astype(np.float32))
    coarse = F.interpolate(coarse, size=(32, 32), mode="bicubic", align_corners=True)
    return F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)


def _line(size: int) -> torch.Tensor:
    """Pixel centres of a row, in unit."""
    return (torch.arange(size, dtype=torch.float32) + 0.5) * (2 / size) - 1


def _for_each(bends: torch.Tensor | None, frames: int) -> list[torch.Tensor | None]:
    if bends is None:
        return [None] * frames
    return [bends[min(t, len(bends) - 1)] for t in range(frames)]
