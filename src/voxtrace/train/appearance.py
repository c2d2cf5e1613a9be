"""Random looks for training clips: tone, colour, bias field, sharpness, noise; drawn from a numpy generator."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from voxtrace.train.augment import Strength, smooth


def look(pictures: torch.Tensor, rng: np.random.Generator, strength: Strength) -> torch.Tensor:
    """Random tone, bias field, noise and sharpness of a clip (T, C, S, S) in 0..1, C 1 or 3; alike in its frames."""
    if rng.random() < strength.stretch:
        low, high = pictures.amin(), pictures.amax()
        pictures = (pictures - low) / (high - low).clamp_min(0.05)
    if pictures.shape[1] == 3:
        pictures = _recoloured(pictures, rng, strength)
    if rng.random() < strength.tone:
        pictures = _toned(pictures, rng)
    if rng.random() < strength.invert and pictures.shape[1] == 1:
        pictures = 1 - pictures
    if rng.random() < strength.bias:
        pictures = pictures * _bias_field(rng, pictures.shape[-1])
    if rng.random() < strength.blur:
        pictures = _blurred(pictures, rng.uniform(0.4, 1.8))
    elif rng.random() < strength.coarse:
        pictures = _coarse(pictures, rng.uniform(1.5, 4.0))
    if rng.random() < strength.noise:
        pictures = _noisy(pictures, rng)
    return pictures.clamp(0, 1)


def flicker(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Brightness and contrast drifting from frame to frame, as between slices and in a moving camera's view."""
    drift = np.cumsum(rng.normal(0, [0.02, 0.03], (len(pictures), 2)), axis=0)
    shift, gain = torch.from_numpy(drift.T.astype(np.float32))[:, :, None, None, None]
    return pictures * (1 + gain) + shift


def _toned(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    gamma, gain, shift = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.06)
    return pictures.clamp(0, 1).pow_(float(gamma)).sub_(0.5).mul_(float(gain)).add_(0.5 + float(shift)).clamp_(0, 1)


def _recoloured(pictures: torch.Tensor, rng: np.random.Generator, strength: Strength) -> torch.Tensor:
    if rng.random() < strength.shuffle:
        pictures = pictures[:, torch.from_numpy(rng.permutation(3))]
    if rng.random() < strength.to_grey:
        return pictures.mean(1, keepdim=True).expand_as(pictures)
    if rng.random() < strength.colour:
        gain, shift = np.exp(rng.normal(0, 0.12, 3)), rng.normal(0, 0.03, 3)
        numbers = torch.from_numpy(np.stack([gain, shift]).astype(np.float32))[:, None, :, None, None]
        grey = pictures.mean(1, keepdim=True)
        pictures = (grey + (pictures - grey) * float(rng.uniform(0.5, 1.5))) * numbers[0] + numbers[1]
    return pictures


def _bias_field(rng: np.random.Generator, size: int) -> torch.Tensor:
    return smooth(rng.normal(0, 0.3, (1, 1, 4, 4)), size).exp()


def _blurred(pictures: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian, one axis after the other, as sums of shifted views: conv2d with one channel is slow on a CPU."""
    reach = max(1, round(2.2 * sigma))
    weights = np.exp(-(np.arange(reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights[0] + 2 * weights[1:].sum()
    for axis, margin in ((-2, (0, 0, reach, reach)), (-1, (reach, reach, 0, 0))):
        padded, size = F.pad(pictures, margin, mode="replicate"), pictures.shape[axis]
        total = padded.narrow(axis, reach, size) * float(weights[0])
        for i in range(1, reach + 1):
            total.add_(padded.narrow(axis, reach - i, size), alpha=float(weights[i]))
            total.add_(padded.narrow(axis, reach + i, size), alpha=float(weights[i]))
        pictures = total
    return pictures


def _coarse(pictures: torch.Tensor, factor: float) -> torch.Tensor:
    """As if scanned with larger pixels and shown enlarged."""
    size = pictures.shape[-1]
    small = F.interpolate(pictures, size=(int(size / factor),) * 2, mode="area")
    return F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)


def _noisy(pictures: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Additive or, as in ultrasound, multiplicative noise; fine or grainy."""
    size = pictures.shape[-1]
    grain = int(rng.choice([size, size, size // 2]))
    noise = torch.from_numpy(rng.standard_normal((len(pictures), 1, grain, grain), dtype=np.float32))
    if grain != size:
        noise = F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)
    if rng.random() < 0.3:
        return pictures * (1 + noise * float(rng.uniform(0.05, 0.2)))
    return pictures + noise * float(rng.uniform(0.01, 0.06))
