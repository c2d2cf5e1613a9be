"""Which grey values of a scan a training clip shows: a CT window, or percentiles, drawn at random."""

from __future__ import annotations

import numpy as np

from voxtrace.train.cases import HIGH_PERCENTILES, LOW_PERCENTILES, LoadedCase

CT_WINDOWS_HU = {  # level, width
    "soft": (40.0, 400.0),
    "liver": (60.0, 200.0),
    "lung": (-600.0, 1500.0),
    "bone": (400.0, 1800.0),
    "wide": (200.0, 2400.0),
}
CT_SHARES = (0.6, 0.1, 0.12, 0.1, 0.08)


def shades(case: LoadedCase, values: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """(low, high): the grey values of `case` that are shown black and white. values: (H, W) of a frame, mask: the
    object there; a CT window that would hide it is not used."""
    if case.percentiles is None:
        return 0.0, 255.0
    if case.modality == "ct":
        name = list(CT_WINDOWS_HU)[int(rng.choice(len(CT_SHARES), p=CT_SHARES))]
        middle = float(np.median(values[mask])) if mask.any() else 40.0
        level, width = CT_WINDOWS_HU[name]
        level, width = level + rng.uniform(-0.1, 0.1) * width, width * np.exp(rng.uniform(-0.2, 0.2))
        if not level - 0.45 * width < middle < level + 0.45 * width:
            level, width = (middle, 500.0) if not -160 < middle < 240 else CT_WINDOWS_HU["soft"]
        return float(level - width / 2), float(level + width / 2)
    low = float(case.percentiles[0][int(rng.choice(len(LOW_PERCENTILES), p=(0.15, 0.55, 0.2, 0.1)))])
    high = float(case.percentiles[1][int(rng.choice(len(HIGH_PERCENTILES), p=(0.1, 0.2, 0.55, 0.15)))])
    return low, max(high, low + 1.0)
