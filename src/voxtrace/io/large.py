"""Voxels that may not fit into memory: mapped where they lie bare in the file, else unpacked into a scratch file.

What is up to `scratch.IN_MEMORY` bytes is read into memory as ever; the formats ask `is_large` first.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from voxtrace import scratch
from voxtrace.errors import InputError
from voxtrace.mapped import is_mapped, let_go, slabs

PIECE = 2**20  # bytes unpacked at a time
MOST_PACKED = 1100  # no deflated byte gives more; a header that promises more is damaged

Read = Callable[[int], bytes]  # at most so many bytes; none at the end


def is_large(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether an array is kept out of memory."""
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize > scratch.IN_MEMORY


def unpacked(path: Path, read: Read, shape: tuple[int, ...], dtype: np.dtype, skip: int = 0) -> np.ndarray:
    """What `read` gives after `skip` bytes, as an array of a scratch file. InputError where it ends too soon."""
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if wanted > MOST_PACKED * path.stat().st_size:
        raise InputError(f"{path} is cut off or its header damaged: {wanted} bytes of voxels are promised")
    while skip > 0:
        skip -= len(passed := read(min(skip, PIECE)))
        if not passed:
            break
    array = scratch.zeros(shape, dtype)
    data, done = array.reshape(-1).view(np.uint8), 0
    while done < wanted:
        piece = read(min(PIECE, wanted - done))
        if not piece:
            raise InputError(f"{path} is cut off: {wanted} bytes of voxels are promised, {done} are there")
        data[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
        let_go(array)
    return array


def converted(array: np.ndarray, dtype: np.dtype | type, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`convert` of every slab, as one array of `dtype` that is large where `array` is."""
    out = scratch.zeros(array.shape, dtype)
    for start, part in slabs(array):
        out[start : start + len(part)] = convert(part)
        let_go(out)
    return out


def in_native_order(array: np.ndarray) -> np.ndarray:
    """The same numbers in this machine's byte order; the same array if they are."""
    native = array.dtype.newbyteorder("=")
    if array.dtype == native:
        return array
    return converted(array, native, lambda part: part.astype(native)) if is_mapped(array) else array.astype(native)


def one_of(array: np.ndarray, extra: tuple[int, ...], index: int) -> np.ndarray:
    """The `index`-th of the arrays that lie along the first axes, of lengths `extra`; in C order."""
    return scratch.contiguous(array[tuple(int(n) for n in np.unravel_index(index, extra))] if extra else array)


def unzipped(file: IO[bytes]) -> Read:
    """What a zlib stream from the file's place on holds."""
    unpacker = zlib.decompressobj()

    def read(count: int) -> bytes:
        while not unpacker.eof:
            packed = unpacker.unconsumed_tail or file.read(PIECE)
            if piece := unpacker.decompress(packed, count):
                return piece
            if not packed:
                return b""
        return b""

    return read
