"""Scans as training keeps them in memory: uint8 as seen, or int16; one or two bytes a voxel, nothing visible lost."""

from __future__ import annotations

import numpy as np

from voxtrace.errors import InputError
from voxtrace.io.reading import Scan
from voxtrace.volume import Picture, Video

LOWEST, HIGHEST = -32768, 32767
FEW_LEVELS = 512  # a scan whose values span less is scaled up before it is rounded
AIM = 8192.0  # what its largest value becomes


def frames_of(scan: Scan, modality: str) -> np.ndarray:
    """(D, H, W) or (D, H, W, 3) uint8 or int16. Raises InputError for values that are not finite.

    CT keeps its HU. Other floats are multiplied, so that zero stays zero, where rounding would merge what can be told
    apart (a scan normalised to 0..1) or the values do not fit (PET in Bq/ml).
    """
    if isinstance(scan, Video):
        return _video(scan)
    if isinstance(scan, Picture):
        return _picture(scan.pixels)[None]
    values = scan.array
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"a volume with finite values is expected; {int((~np.isfinite(values)).sum())} are not")
    factor = _factor(values, modality)
    values = values if factor == 1 else values * factor
    return (values.round() if values.dtype.kind == "f" else values).clip(LOWEST, HIGHEST).astype(np.int16)


def _factor(values: np.ndarray, modality: str) -> float:
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    top = max(-low, high)
    if modality == "ct" or top == 0:
        return 1.0
    if top > HIGHEST:
        return HIGHEST / top
    if values.dtype.kind == "f" and high - low < FEW_LEVELS and not (values == values.round()).all():
        return AIM / top
    return 1.0


def _picture(pixels: np.ndarray) -> np.ndarray:
    """(H, W) uint8 where the picture is grey, else (H, W, 3)."""
    if pixels.dtype != np.uint8:
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise InputError("a picture with finite values is expected")
        pixels = _stretched(pixels)
    if pixels.ndim == 2:
        return pixels
    grey = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    return np.ascontiguousarray(pixels[..., 0]) if grey else np.ascontiguousarray(pixels[..., :3])


def _stretched(pixels: np.ndarray) -> np.ndarray:
    low, high = np.percentile(pixels, (0.5, 99.5))
    return ((pixels - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8)


def _video(video: Video) -> np.ndarray:
    """Frames are read one by one; they are kept in colour from the first one on that has any."""
    frames = [_picture(video.frames[index]) for index in range(len(video.frames))]
    if any(frame.ndim == 3 for frame in frames):
        frames = [frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, -1) for frame in frames]
    return np.stack(frames)
