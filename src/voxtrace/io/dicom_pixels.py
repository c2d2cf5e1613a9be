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
from voxtrace.io.large import converted
from voxtrace.mapped import let_go
from voxtrace.scratch import zeros

WIDTHS: list[type[np.generic]] = [np.int16, np.int32, np.float32]  # each holds what those before it hold


def rescaled(paths: Sequence[Path]) -> np.ndarray:
    """(D, H, W): one file a slice, each with its own slope and intercept (PET changes them from slice to slice).

    Read one after another, a large series into a scratch file.
    int16 or int32 where all values are whole numbers, else float32.
    """
    stack: np.ndarray | None = None
    for index, path in enumerate(paths):
        values = _modality_values(path)
        if stack is None:
            stack = zeros((len(paths), *values.shape), _needed(values))
        elif WIDTHS.index(_needed(values)) > WIDTHS.index(stack.dtype.type):
            wider = _needed(values)
            stack = converted(stack, wider, lambda part, wider=wider: part.astype(wider))  # type: ignore[misc]
        if values.shape != stack.shape[1:]:
            raise InputError(f"{path} holds {values.shape} pixels (rows, columns), {paths[0]} {stack.shape[1:]}")
        stack[index] = values.astype(stack.dtype)
        let_go(stack)
    assert stack is not None
    return stack


def _needed(values: np.ndarray) -> type[np.generic]:
    """The narrowest of WIDTHS that holds these values."""
    if values.dtype.kind == "f":
        return np.float32
    return np.int16 if values.dtype.kind in "iu" and _fits_int16(values) else np.int32


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
