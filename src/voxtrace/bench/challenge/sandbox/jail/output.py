"""What a submission leaves behind, taken out of the sandbox with care."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence

_CHUNK = 1 << 20
_TAIL = 1 << 16
_MEASURE_EVERY = 0.2  # seconds


def deliver(path: str, target: int, at_most: int) -> str:
    """Copy the file at `path` to the open file `target`; returns why not, "" if it was done.

    Only a plain file is taken: a link could lead anywhere, a pipe would keep us waiting.
    """
    try:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"not a plain file ({os.strerror(error.errno or 0)})"
    try:
        about = os.fstat(source)
        if not stat.S_ISREG(about.st_mode):
            return "not a plain file"
        if about.st_size > at_most:
            return f"larger than may be written ({about.st_size} bytes)"
        while part := os.read(source, _CHUNK):
            os.write(target, part)
    finally:
        os.close(source)
    return ""


def copy_tail(source: int, target: int) -> None:
    """The last 64 KB of the open file `source` go to the open file `target`."""
    size = os.fstat(source).st_size
    os.write(target, os.pread(source, _TAIL, max(0, size - _TAIL)))


def is_full(folder: int | str) -> bool:
    """Whether nothing more can be written to the file system of an open file or folder."""
    room = os.statvfs(folder)
    return room.f_bavail == 0 or (room.f_files > 0 and room.f_favail == 0)


class Written:
    """The bytes in some folders, for where no file system bounds them."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._last, self._bytes = float("-inf"), 0

    def lately(self) -> int:
        """As they were a fifth of a second ago or less: to look at many files takes time."""
        return self.now() if time.monotonic() - self._last > _MEASURE_EVERY else self._bytes

    def now(self) -> int:
        """As they are. Whoever writes may be done between two looks: the last one must not be an old one."""
        self._bytes = sum(_size(folder) for folder in self._folders)
        self._last = time.monotonic()
        return self._bytes


def _size(folder: str) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                continue  # it was removed meanwhile
    return total
