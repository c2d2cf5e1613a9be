"""The numbers in DICOM files: decoding, rescaling to HU or activity, and pictures as people see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import JPEGLossless, JPEGLosslessSV1

from voxtrace.errors import InputError


def rescaled(paths: Sequence[Path]) -> np.ndarray:
    """(D, H, W): one file a slice, each with its own slope and intercept (PET changes them from slice to slice).

    int16 or int32 where all values are whole numbers, else float32.
    """
    slices = [_modality_values(path) for path in paths]
    dtype: type[np.generic] = np.int16 if all(s.dtype.kind in "iu" and _fits_int16(s) for s in slices) else np.int32
    if any(s.dtype.kind == "f" for s in slices):
        dtype = np.float32
    return np.stack([s.astype(dtype) for s in slices])


def picture_pixels(path: Path) -> np.ndarray:
    """(H, W) or (H, W, 3) of one file as meant to be seen: palette applied, MONOCHROME1 turned to white on black."""
    dataset = pydicom.dcmread(path, force=True)
    pixels = _decoded(dataset, path)
    meant = dataset.get("PhotometricInterpretation", "")
    if meant == "PALETTE COLOR":
        colours = apply_color_lut(pixels, dataset)
        return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours
    if meant == "MONOCHROME1":
        top = (1 << int(dataset.BitsStored)) - 1
        return (top - pixels.astype(np.int32)).clip(0).astype(pixels.dtype)
    return pixels


def _modality_values(path: Path) -> np.ndarray:
    """(H, W) after slope and intercept or modality LUT; whole numbers stay whole."""
    dataset = pydicom.dcmread(path, force=True)
    pixels = _decoded(dataset, path)
    if pixels.ndim != 2:
        raise InputError(f"{path} holds an image of shape {pixels.shape}; a slice of a volume is grey and flat")
    if "ModalityLUTSequence" in dataset:
        return apply_modality_lut(pixels, dataset)
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)
    if slope.is_integer() and intercept.is_integer():
        return pixels.astype(np.int32) * int(slope) + int(intercept)
    return pixels.astype(np.float32) * np.float32(slope) + np.float32(intercept)


def _decoded(dataset: Dataset, path: Path) -> np.ndarray:
    if "PixelData" not in dataset:
        raise InputError(f"{path} has no pixels: it is cut off, or no image")
    if not hasattr(dataset.file_meta, "TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        if syntax in (JPEGLossless, JPEGLosslessSV1):
            return _jpeg_lossless(dataset)
        return dataset.pixel_array
    except Exception as error:  # decoders raise many kinds
        raise InputError(f"{path}: its pixels ({syntax.name}) cannot be decoded: {error}") from error


def _jpeg_lossless(dataset: Dataset) -> np.ndarray:
    """JPEG lossless, which hospitals' archives love and pydicom's free plug-ins do not read."""
    import imagecodecs

    pixels = np.asarray(imagecodecs.jpeg_decode(next(generate_frames(dataset.PixelData, number_of_frames=1))))
    if not int(dataset.PixelRepresentation):
        return pixels
    spare = 8 * pixels.itemsize - int(dataset.BitsStored)  # the sign is the highest stored bit
    return (pixels << spare).view(f"i{pixels.itemsize}") >> spare


def _fits_int16(array: np.ndarray) -> bool:
    return bool(array.min() >= -(2**15) and array.max() < 2**15)
