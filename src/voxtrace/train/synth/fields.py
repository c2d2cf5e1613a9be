"""Smooth random fields on a grid, from a numpy generator, so that they repeat."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Shape = tuple[int, int, int]


def smooth_noise(rng: np.random.Generator, shape: Shape, period: float) -> np.ndarray:
    """(D, H, W) float32 of about unit variance, varying over `period` voxels."""
    return smooth_field(rng, shape, (period,) * 3).numpy()


def smooth_field(
    rng: np.random.Generator, shape: Shape, periods: tuple[float, float, float], device: str | torch.device = "cpu"
) -> Tensor:
    """As `smooth_noise`, a tensor, with a period for each axis."""
    nodes = [max(2, math.ceil(s / p) + 1) if s > 1 else 1 for s, p in zip(shape, periods, strict=True)]
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *nodes), dtype=np.float32)).to(device)
    if shape[0] == 1:
        return F.interpolate(coarse[:, :, 0], size=shape[1:], mode="bicubic", align_corners=True)[0] * 1.4
    return F.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)[0, 0] * 1.7


def grain(rng: np.random.Generator, shape: tuple[int, ...], device: str | torch.device = "cpu") -> Tensor:
    """Normal numbers, independent, float32."""
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))
    return torch.randn(shape, generator=generator, device=device)


def blurred(image: Tensor, sigmas: tuple[float, float, float]) -> Tensor:
    """(C, D, H, W) smoothed by Gaussians along D, H, W; edges are repeated."""
    for axis, sigma in enumerate(sigmas, 1):
        reach = min(math.ceil(2 * sigma), image.shape[axis] - 1)
        if sigma < 0.3 or reach < 1:
            continue
        places = torch.arange(-reach, reach + 1, device=image.device, dtype=torch.float32)
        bell = torch.exp(-0.5 * (places / sigma) ** 2)
        weights: list[float] = (bell / bell.sum()).tolist()
        first, last = image.narrow(axis, 0, 1), image.narrow(axis, image.shape[axis] - 1, 1)
        padded = torch.cat([*[first] * reach, image, *[last] * reach], axis)
        size = image.shape[axis]
        out = padded.narrow(axis, reach, size) * weights[reach]
        for step in range(1, reach + 1):
            pair = padded.narrow(axis, reach - step, size) + padded.narrow(axis, reach + step, size)
            out.add_(pair, alpha=weights[reach + step])
        image = out
    return image
