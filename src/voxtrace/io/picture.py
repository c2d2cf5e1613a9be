"""Pictures: PNG, JPEG, BMP through Pillow, TIFF through tifffile (16 bit, LZW, stacks). Indices are the file's own."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from voxtrace.errors import InputError, OutputError
from voxtrace.io.choice import choose
from voxtrace.io.labels import label_slabs, label_type, smallest_unsigned
from voxtrace.io.large import is_large
from voxtrace.lazily import Lazily
from voxtrace.mapped import let_go
from voxtrace.scratch import zeros
from voxtrace.volume import Picture, Volume

if TYPE_CHECKING:
    import tifffile
else:
    tifffile = Lazily("tifffile")

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
TIFF_SUFFIXES = (".tif", ".tiff")
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
EXIF_ORIENTATION = 0x0112


def recognises(head: bytes) -> bool:
    """Whether a file begins as PNG, JPEG or BMP."""
    return head.startswith(MAGIC[:2]) or (head.startswith(MAGIC[2]) and head[6:10] == b"\0\0\0\0")


def recognises_tiff(head: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF."""
    return head.startswith(TIFF_MAGIC)


def read(path: Path, select: str | None = None) -> Picture:
    """(H, W) or (H, W, 3) as stored: alpha is dropped, a palette becomes colour, 16-bit grey stays 16 bit.

    A camera's note to show the picture rotated (EXIF) is not followed, and said in a warning.
    """
    with Image.open(path) as image:
        turned = image.getexif().get(EXIF_ORIENTATION, 1)
        if turned != 1:
            warnings.warn(
                f"{path.name} asks to be shown rotated or mirrored (EXIF orientation {turned}); indices and masks "
                "are those of the stored, unrotated picture",
                stacklevel=3,
            )
        return Picture(_pixels(image), None, None, path)


def read_labels(path: Path) -> np.ndarray:
    """(H, W) labels of a PNG or BMP: palette indices, not their colours; three equal channels count as one."""
    with Image.open(path) as image:
        if image.format == "JPEG":
            raise InputError(f"the mask {path} is a JPEG, which blurs labels; save it as PNG")
        array = np.asarray(image) if image.mode in ("P", "L", "1", "I", "I;16", "I;16B") else _pixels(image)
    return grey_labels(array, path)


def grey_labels(array: np.ndarray, path: Path) -> np.ndarray:
    """(H, W) of (H, W) or of (H, W, 3) with equal channels; InputError for a coloured mask."""
    if array.ndim == 3:
        if not (array == array[..., :1]).all():
            raise InputError(f"the mask {path} is coloured; a mask holds one number a pixel (grey or palette PNG)")
        array = array[..., 0]
    return array


def read_tiff(path: Path, select: str | None = None) -> Picture | Volume:
    """One page: a Picture. Many grey pages of one size: a Volume of spacing 1 mm, as TIFF does not say it.

    `select` takes one of several images of different size.
    """
    with tifffile.TiffFile(path) as tiff:
        index = choose(path, len(tiff.series), select, "has pages of different size", "images")
        series = tiff.series[index]
        page = series.keyframe
        array = _large_stack(series)
        array = _tiff_colours(np.asarray(series.asarray()), page) if array is None else array
    array = array.astype(np.uint8) if array.dtype == bool else array
    array, colour = _channels_last(array, series.axes)
    if colour and array.ndim == 3:
        return Picture(array[..., :3], None, None, path)
    if not colour and array.ndim == 2:
        return Picture(array, None, None, path)
    if not colour and array.ndim == 3:
        return Volume(array, np.eye(4), None, path)
    raise InputError(
        f"{path} has shape {array.shape} (axes {series.axes}); a picture or a stack of grey pages is needed"
    )


def _large_stack(series: tifffile.TiffPageSeries) -> np.ndarray | None:
    """(D, H, W) of a large stack of grey pages in a scratch file, page by page; None for anything else."""
    pages, shape = len(series.pages), series.shape
    plain = len(shape) == 3 and shape[0] == pages and shape[1:] == series.keyframe.shape and "S" not in series.axes
    if not plain or getattr(series.keyframe.photometric, "name", "") == "PALETTE" or not is_large(shape, series.dtype):
        return None
    stack = zeros(shape, series.dtype)
    for index, page in enumerate(series.pages):
        assert page is not None
        stack[index] = _tiff_colours(page.asarray(), series.keyframe)
        let_go(stack)
    return stack


def size(path: Path) -> tuple[int, int]:
    """(H, W) from the header alone."""
    if path.suffix.lower() in TIFF_SUFFIXES:
        with tifffile.TiffFile(path) as tiff:
            height, width = tiff.pages[0].shape[:2]
            return int(height), int(width)
    with Image.open(path) as image:
        return image.height, image.width


def write(path: Path, mask: np.ndarray) -> None:
    """(H, W) labels as grey PNG or BMP (8 bit, PNG also 16 bit), or (H, W) or (D, H, W) as TIFF."""
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        _write_tiff(path, mask)
        return
    labels = smallest_unsigned(mask)
    if labels.dtype.itemsize > (2 if suffix == ".png" else 1):
        raise OutputError(f"{path.name}: label {labels.max()} does not fit into {suffix[1:].upper()}; write .tif")
    buffer = io.BytesIO()  # written by Pillow itself, a BMP on a full disk is cut off without an error
    Image.fromarray(labels).save(buffer, format=suffix[1:].upper())
    path.write_bytes(buffer.getvalue())


def _write_tiff(path: Path, mask: np.ndarray) -> None:
    """Page by page."""
    pages, dtype = mask if mask.ndim == 3 else mask[None], label_type(mask)
    frames = (page for part in label_slabs(pages, dtype) for page in part)
    tifffile.imwrite(path, frames, shape=mask.shape, dtype=dtype, photometric="minisblack", compression="zlib")


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures lying in a folder, by their names' natural order; hidden files and others are passed over."""
    suffixes = (*SUFFIXES, *TIFF_SUFFIXES)
    found = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted((path for path in found if path.suffix.lower() in suffixes), key=natural_key)


def _pixels(image: Image.Image) -> np.ndarray:
    if image.mode in ("L", "RGB", "I", "F") or image.mode.startswith("I;16"):
        return np.array(image)
    if image.mode == "1":
        return np.array(image.convert("L"))
    return np.array(image.convert("L" if image.mode in ("LA", "La") else "RGB"))


def _tiff_colours(array: np.ndarray, page: tifffile.TiffPage) -> np.ndarray:
    """Palettes become colour; white-is-zero is turned round, so that a larger number is brighter."""
    photometric = getattr(page.photometric, "name", "")
    if photometric == "PALETTE" and page.colormap is not None:
        return np.moveaxis((page.colormap >> 8).astype(np.uint8)[:, array], 0, -1)
    if photometric == "MINISWHITE" and array.dtype.kind in "bu":
        return ~array if array.dtype == bool else np.iinfo(array.dtype).max - array
    return array


def _channels_last(array: np.ndarray, axes: str) -> tuple[np.ndarray, bool]:
    """The array without axes of length 1, and whether its last axis is colour."""
    if "S" in axes and array.ndim == len(axes):
        array = np.moveaxis(array, axes.index("S"), -1)
        kept = tuple(i for i, n in enumerate(array.shape[:-3]) if n == 1)
        return np.squeeze(array, kept), array.shape[-1] >= 3
    colour = array.ndim == len(axes) + 1
    return array, colour
