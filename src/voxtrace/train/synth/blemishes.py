"""What the making of a picture adds: uneven light, noise of several kinds, streaks, sectors, vignettes, inversion.

Images are (C, D, H, W) float32, 0..1 before and about so after; NaN where nothing is shown, as beyond a fan of sound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from voxtrace.train.synth.fields import blurred, grain, smooth_field

Blemish = Callable[[np.random.Generator, Tensor], Tensor]


def blemished(rng: np.random.Generator, image: Tensor, coloured: bool = False) -> Tensor:
    """As one of the kinds of scanner would show it: CT, MR, ultrasound, a camera, or none in particular."""
    kind = int(rng.choice(5, p=(0.25, 0.25, 0.1, 0.05, 0.35))) if not coloured else 3
    for chance, blemish in KINDS[kind]:
        if rng.random() < chance:
            image = blemish(rng, image)
    return stretched(image) if rng.random() < 0.5 else image


def bias(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Brighter here than there, as near an MR coil."""
    period = rng.uniform(40, 120)
    field = smooth_field(rng, _shape(image), (period,) * 3, image.device)
    return image * torch.exp(field * float(rng.uniform(0.05, 0.3)))


def gaussian(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Independent noise."""
    return image + grain(rng, tuple(image.shape), image.device) * float(rng.uniform(0, 0.06))


def correlated(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Noise with a grain of its own, as a CT's reconstruction gives it."""
    noise = blurred(grain(rng, tuple(image.shape), image.device), (0.0, 0.7, 0.7))
    return image + noise * float(rng.uniform(0.02, 0.12))


def rician(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Noise of a magnitude image: what is dark becomes brighter."""
    sigma = float(rng.uniform(0.01, 0.07))
    real = image + grain(rng, tuple(image.shape), image.device) * sigma
    return torch.hypot(real, grain(rng, tuple(image.shape), image.device) * sigma)


def speckle(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Multiplied by Rayleigh noise of some grain, then compressed, as ultrasound is."""
    size = float(rng.uniform(0.5, 1.1))
    waves = [blurred(grain(rng, tuple(image.shape), image.device), (0.0, size, 1.4 * size)) for _ in range(2)]
    echo = torch.hypot(*waves)
    echo = echo / echo.mean()
    return image.clamp(min=0.01) * echo ** float(rng.uniform(0.35, 0.8))


def shadows(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Darker columns below something that lets no sound through."""
    width = image.shape[-1]
    x = torch.arange(width, device=image.device, dtype=torch.float32)
    dark = torch.zeros(width, device=image.device)
    for _ in range(int(rng.integers(1, 4))):
        dark = torch.maximum(dark, torch.exp(-(((x - rng.uniform(0, width)) / rng.uniform(3, 0.1 * width + 4)) ** 2)))
    depth = torch.linspace(0, 1, image.shape[-2], device=image.device)[:, None]
    begins = float(rng.uniform(0.1, 0.7))
    return image * (1 - float(rng.uniform(0.3, 0.8)) * dark * (depth > begins))


def sector(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Black beyond a fan that opens downward."""
    height, width = image.shape[-2:]
    y = torch.linspace(0, 1, height, device=image.device)[:, None] + float(rng.uniform(0.05, 0.35))
    x = torch.linspace(-1, 1, width, device=image.device) - float(rng.uniform(-0.15, 0.15))
    held = (torch.atan2(x.abs(), y) < float(rng.uniform(0.75, 1.1))) & (
        torch.hypot(x * 0.7, y) < rng.uniform(1.05, 1.3)
    )
    return torch.where(held, image, torch.nan)


def streaks(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Rays from one or two spots, as from metal in CT; fainter with distance, the same on neighbouring slices."""
    height, width = image.shape[-2:]
    total = torch.zeros(height, width, device=image.device)
    for _ in range(int(rng.integers(1, 3))):
        y = torch.arange(height, device=image.device, dtype=torch.float32)[:, None] - float(rng.uniform(0, height))
        x = torch.arange(width, device=image.device, dtype=torch.float32) - float(rng.uniform(0, width))
        angle, far = torch.atan2(y, x), torch.hypot(y, x)
        rays = sum(torch.cos(float(n) * angle + float(rng.uniform(0, 6.3))) for n in rng.integers(3, 40, 5))
        total = total + rays / 5 * torch.exp(-far / float(rng.uniform(0.2, 0.6) * width))
    depth = image.shape[1]
    z = torch.arange(depth, device=image.device, dtype=torch.float32) - float(rng.uniform(0, depth - 1))
    fades = torch.exp(-((z / float(rng.uniform(0.1, 0.5) * depth)) ** 2))[:, None, None]
    return image + float(rng.uniform(0.1, 0.45)) * total * fades


def lines(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Rows of their own brightness, as a scanned detector gives them."""
    rows = grain(rng, (1, image.shape[1], image.shape[2], 1), image.device)
    return image + rows * float(rng.uniform(0.005, 0.03))


def vignette(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Darker towards the corners, black beyond an endoscope's round view in some."""
    height, width = image.shape[-2:]
    y = torch.linspace(-1, 1, height, device=image.device)[:, None] - float(rng.uniform(-0.2, 0.2))
    x = torch.linspace(-1, 1, width, device=image.device) - float(rng.uniform(-0.2, 0.2))
    far = torch.hypot(y, x)
    image = image * (1 - float(rng.uniform(0.1, 0.5)) * far.clamp(max=1.5) ** 2)
    return torch.where(far < rng.uniform(0.95, 1.2), image, torch.nan) if rng.random() < 0.25 else image


def highlights(rng: np.random.Generator, image: Tensor) -> Tensor:
    """White spots where wet surfaces shine."""
    field = smooth_field(rng, _shape(image), (6.0, float(rng.uniform(5, 9)), float(rng.uniform(5, 14))), image.device)
    return image + ((field - float(rng.uniform(2.3, 3.2))) * 3).clamp(0, 1)


def tone(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Brighter or darker middle greys."""
    return image.clamp(0, 1) ** float(np.exp(rng.uniform(-0.5, 0.5)))


def inverted(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Black for white."""
    return 1 - image.clamp(0, 1)


def stretched(image: Tensor) -> Tensor:
    """From black to white, as a viewer's automatic window shows it."""
    sample = image[..., ::3, ::3].flatten()
    low, high = torch.nanquantile(sample[:: 1 + len(sample) // 50_000], sample.new_tensor([0.005, 0.995]))
    return (image - low) / (high - low).clamp(min=0.1)


KINDS: tuple[tuple[tuple[float, Blemish], ...], ...] = (
    ((0.7, correlated), (0.5, gaussian), (0.15, streaks)),
    ((0.8, bias), (0.8, rician), (0.3, tone), (0.25, inverted)),
    ((0.9, speckle), (0.3, shadows), (0.35, sector), (0.3, tone)),
    ((0.4, bias), (0.4, vignette), (0.3, highlights), (0.6, gaussian), (0.3, tone)),
    ((0.25, bias), (0.6, gaussian), (0.15, rician), (0.1, speckle), (0.05, streaks), (0.1, lines), (0.25, inverted)),
)


def _shape(image: Tensor) -> tuple[int, int, int]:
    return tuple(image.shape[1:])  # type: ignore[return-value]
