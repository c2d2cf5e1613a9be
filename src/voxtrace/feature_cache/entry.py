"""One frame's arrays as one file: a checked header, then the arrays as they lie in memory.

    magic (24 bytes) | length of the header, CRC-32 of all that follows (two little-endian uint32)
    header: JSON, filled up with spaces so that the arrays begin at a multiple of 64 bytes
    arrays: each at a multiple of 64 bytes, as fast kernels want them

The CRC finds what broken disks and cut-short files do; nothing here keeps a person from writing another file.
No pickle: names, shapes and dtypes are read from JSON and checked, the rest is numbers.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from io import RawIOBase
from typing import Any

import numpy as np

FORMAT = 1
MAGIC = b"voxtrace features %6d" % FORMAT
HEAD = struct.Struct("<24sII")
ALIGNED = 64  # bytes
DTYPES = ("float32", "float16", "float64", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "bool")
MAX_HEADER = 1 << 16


class DamagedError(Exception):
    """An entry's bytes are not what was written. Never leaves this package: the entry is made anew."""


def pieces_of(key: str, arrays: Mapping[str, np.ndarray]) -> list[bytes | memoryview]:
    """What is written one after the other for `arrays`, which may have any strides: their axes' order is kept."""
    described: list[dict[str, Any]] = []
    payload: list[bytes | memoryview] = []
    at = 0
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"features of dtype {array.dtype} cannot be stored")
        axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        laid = np.ascontiguousarray(array.transpose(axes)).reshape(-1)
        stored = _narrowed(laid)
        gap = -stored.nbytes % ALIGNED
        described.append(
            {"name": name, "dtype": array.dtype.name, "narrow": stored is not laid, "shape": array.shape, "axes": axes}
        )
        described[-1]["at"] = at
        payload += [stored.data, bytes(gap)]
        at += stored.nbytes + gap
    text = json.dumps({"key": key, "bytes": at, "arrays": described}).encode()
    text += b" " * (-(HEAD.size + len(text)) % ALIGNED)
    crc = 0
    for piece in (text, *payload):
        crc = zlib.crc32(piece, crc)
    return [HEAD.pack(MAGIC, len(text), crc), text, *payload]


def read_entry(file: RawIOBase, size: int, key: str) -> dict[str, np.ndarray]:
    """The arrays of a file of `size` bytes, writable, aligned, axes in memory ordered as they were. DamagedError."""
    if size < HEAD.size:
        raise DamagedError(f"{size} bytes")
    buffer = _aligned(size)
    if file.readinto(buffer.data) != size:
        raise DamagedError("shorter than the file system says")
    magic, length, crc = HEAD.unpack(buffer[: HEAD.size].data)
    if magic != MAGIC or length > min(MAX_HEADER, size - HEAD.size):
        raise DamagedError("its beginning is another")
    if zlib.crc32(buffer[HEAD.size :].data) != crc:
        raise DamagedError("its checksum is another")
    try:
        header = json.loads(bytes(buffer[HEAD.size : HEAD.size + length]))
        if header["key"] != key or header["bytes"] != size - HEAD.size - length:
            raise DamagedError("it is another frame's")
        payload = buffer[HEAD.size + length :]
        return {str(item["name"]): _array(payload, item) for item in header["arrays"]}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(str(error)) from error


def _array(payload: np.ndarray, item: Mapping[str, Any]) -> np.ndarray:
    """One array of the payload, (bytes,) uint8."""
    if item["dtype"] not in DTYPES or sorted(item["axes"]) != list(range(len(item["shape"]))):
        raise ValueError(f"array {item['name']!r} is described wrongly")
    shape = [int(item["shape"][axis]) for axis in item["axes"]]
    dtype, count = np.dtype(item["dtype"]), math.prod(shape)
    stored = np.dtype(np.uint16) if item["narrow"] else dtype
    laid = payload[item["at"] : item["at"] + count * stored.itemsize].view(stored)
    if item["narrow"]:
        wide = _aligned(count * 4).view(np.uint32)
        laid = np.left_shift(laid, 16, out=wide, dtype=np.uint32).view(np.float32)
    return laid.reshape(shape).transpose(np.argsort(item["axes"]))


def _narrowed(array: np.ndarray) -> np.ndarray:
    """(n,) float32 whose values are all bfloat16 as (n,) uint16, their upper halves; any other array as it is."""
    if array.dtype != np.float32 or not array.size:
        return array
    words = array.view(np.uint32)
    if (words[:64] & 0xFFFF).any() or (words & 0xFFFF).any():
        return array
    return (words >> 16).astype(np.uint16)


def _aligned(size: int) -> np.ndarray:
    """(size,) uint8, uninitialised, from a multiple of 64 bytes on: results of fast kernels may depend on it."""
    raw = np.empty(size + ALIGNED, np.uint8)
    start = -raw.ctypes.data % ALIGNED
    return raw[start : start + size]
