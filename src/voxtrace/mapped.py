"""Arrays that lie in a file and are read as they are used: mapped, gone through slab by slab, let go again.

To everybody else they are plain arrays. Pages of a mapped file count as memory of the process until they are let go;
whoever goes through a large array does it with `slabs`, or calls `let_go` behind itself. Nothing is lost by it: what
was written is in the file, and what is read again comes from there.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from voxtrace.errors import InputError

SLAB = 2**24  # bytes that are looked at together


class FileArray(np.memmap):
    """The array of a whole mapping. stamp: (inode, time of change) of the user's file when it was mapped; None for a
    file of our own."""

    stamp: tuple[int, int] | None = None


def mapped(
    file: IO[bytes], dtype: np.dtype | type, shape: tuple[int, ...], offset: int = 0, *, writable: bool = False
) -> np.ndarray:
    """The bytes of an open file from `offset` as an array in C order. The file may be closed afterwards.

    A user's file is mapped for reading alone: the array cannot be written.
    """
    array = FileArray(file, np.dtype(dtype), "r+" if writable else "r", offset, shape)  # type: ignore[call-overload]
    return array.view(np.ndarray)


def map_file(path: Path, dtype: np.dtype | type, shape: tuple[int, ...], offset: int = 0) -> np.ndarray:
    """A user's file from `offset` as an array in C order, for reading alone; InputError where it is too short.

    A file that changes while it is mapped is found out by `require_unchanged`; one that is removed or replaced stays
    as it was for us.
    """
    with path.open("rb") as file:
        there, wanted = os.fstat(file.fileno()), int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        if there.st_size < offset + wanted:
            have = max(0, there.st_size - offset)
            raise InputError(f"{path} is cut off: {wanted} bytes of voxels are promised, {have} are there")
        array = mapped(file, dtype, shape, offset)
    whole = _whole(array)
    assert whole is not None
    whole.filename = str(path.resolve())
    whole.stamp = there.st_ino, there.st_mtime_ns
    return array


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array lies in a file that was mapped here."""
    return _whole(array) is not None


def let_go(array: np.ndarray) -> None:
    """Give the memory back that the pages of a mapped array take; any other array stays as it is."""
    if (whole := _whole(array)) is not None and hasattr(mmap, "MADV_DONTNEED"):
        whole._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def require_unchanged(array: np.ndarray) -> None:
    """Raise InputError if the file that an array lies in was cut or written to since it was mapped.

    To read beyond the new end would end the process, to read on would mix two scans.
    """
    whole = _whole(array)
    if whole is None or whole.stamp is None:
        return
    inner: mmap.mmap = whole._mmap  # type: ignore[attr-defined]
    cut = inner.size() < whole.offset - whole.offset % mmap.ALLOCATIONGRANULARITY + len(inner)
    if cut or _stamp(whole) not in (None, whole.stamp):
        what = "was cut off" if cut else "was changed"
        raise InputError(f"{whole.filename} {what} while it was in use; run again when it is complete")


def slabs(array: np.ndarray, nbytes: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """(first index, part) of an array cut along its first axis into parts of about `nbytes` (None: SLAB).

    A part of a mapped array is let go when the next one is asked for, so only what was made of it should be kept.
    Raises InputError where the file changed.
    """
    each = max(1, array[0].nbytes) if len(array) else 1
    count = max(1, (SLAB if nbytes is None else nbytes) // each)
    for start in range(0, len(array), count):
        require_unchanged(array)
        yield start, array[start : start + count]
        let_go(array)


def _whole(array: np.ndarray) -> FileArray | None:
    held: object = array
    while isinstance(held, np.ndarray):
        if isinstance(held, FileArray) and not isinstance(held.base, np.ndarray):
            return held
        held = held.base
    return None


def _stamp(whole: FileArray) -> tuple[int, int] | None:
    """Of the file that is there now; None if it is another one or none: ours is still mapped, and as it was."""
    try:
        there = os.stat(whole.filename)  # type: ignore[arg-type]
    except OSError:
        return None
    assert whole.stamp is not None
    return (there.st_ino, there.st_mtime_ns) if there.st_ino == whole.stamp[0] else None
