"""Where what does not fit into memory goes: files without a name in a scratch folder.

A file without a name is taken back by the system when nothing uses it any more or the process ends, however it ends:
there is nothing to tidy up after Ctrl-C, a crash or a kill. The folder is VOXTRACE_SCRATCH, else the system's folder
for temporary files, or /var/tmp where that one lies in memory.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from voxtrace.errors import OutputError
from voxtrace.mapped import is_mapped, let_go, mapped, slabs

VARIABLE = "VOXTRACE_SCRATCH"
IN_MEMORY = 2**24  # bytes: arrays up to this size stay in memory
FEW = 2**22  # bytes: so much a Spill holds before it takes a file
MOUNTS = Path("/proc/self/mounts")
ON_DISK = Path("/var/tmp")
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NoFolderError(OutputError):
    """No folder was chosen, and the system has none on a disk that may be written."""


def folder() -> Path:
    """The scratch folder. Raises NoFolderError where there is none."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    try:
        usual = Path(tempfile.gettempdir())
    except OSError as error:
        raise NoFolderError(f"no folder for temporary files may be written; set {VARIABLE} to one") from error
    if not _in_memory(usual):
        return usual
    if os.access(ON_DISK, os.W_OK) and not _in_memory(ON_DISK):
        return ON_DISK
    raise NoFolderError(f"the folder for temporary files, {usual}, lies in memory itself; set {VARIABLE} to another")


def unnamed_file(nbytes: int = 0) -> IO[bytes]:
    """An empty file to write and read, gone when it is closed and no array lies on it; unbuffered.

    nbytes are set aside for it at once, zeros: so a full disk is an OutputError here, and no crash later.
    """
    place = folder()
    with told(place, nbytes):
        file = tempfile.TemporaryFile(dir=place, prefix="voxtrace-", buffering=0)  # noqa: SIM115  the caller closes it
        try:
            _set_aside(file, nbytes)
        except BaseException:
            file.close()
            raise
    return file


def zeros(shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
    """An array of zeros that may be written: in memory, or, beyond IN_MEMORY bytes, on an unnamed file.

    Where no folder for such files is found it is in memory all the same, which is said in a warning.
    Raises OutputError on a full disk.
    """
    nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if nbytes <= IN_MEMORY:
        return np.zeros(shape, dtype)
    try:
        file = unnamed_file(nbytes)
    except NoFolderError as error:
        _warn(error, nbytes)
        return np.zeros(shape, dtype)
    with file:
        return mapped(file, dtype, shape, writable=True)


def contiguous(array: np.ndarray) -> np.ndarray:
    """The same values in C order; a copy, where one is needed, lies in memory only if it is small."""
    if array.flags.c_contiguous or not is_mapped(array):
        return np.ascontiguousarray(array)
    copy = zeros(array.shape, array.dtype)
    for start, part in slabs(array):
        copy[start : start + len(part)] = part
        let_go(copy)
    return copy


class Spill:
    """Arrays put down one after another, to be read again: the first FEW bytes in memory, then all in one unnamed file.

    What was put down stays as long as the Spill does. Several threads may read and write.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self._most = FEW
        self._end = 0
        self._lock = threading.Lock()

    def put(self, array: np.ndarray) -> int:
        """Put a copy down; returns its place. Raises OutputError on a full disk: what lies there already stays."""
        with self._lock:
            place = self._end
            self._append(np.ascontiguousarray(array).tobytes())
        return place

    def add(self, data: bytes) -> int:
        """Put bytes down right after those before; returns how many."""
        with self._lock:
            self._append(data)
        return len(data)

    def get(self, place: int, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        """A fresh array of what was put down at `place`."""
        array = np.empty(shape, dtype)
        data = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        with self._lock:
            if self._file is None:
                data[:] = self._held[place : place + len(data)]
                return array
            while data:
                if not (piece := _read(self._file, place, len(data))):
                    raise OutputError(f"a scratch file in {folder()} lost its end; is the disk damaged?")
                data[: len(piece)] = piece
                data, place = data[len(piece) :], place + len(piece)
        return array

    def _append(self, data: bytes) -> None:
        place = self._end
        if self._file is None and place + len(data) > self._most:
            self._take_file()
        if self._file is None:
            self._held += data
        else:
            _write(self._file, place, data)
        self._end = place + len(data)

    def _take_file(self) -> None:
        try:
            file = unnamed_file()
        except NoFolderError as error:
            _warn(error, self._end)
            self._most = sys.maxsize
            return
        _write(file, 0, bytes(self._held))
        self._file, self._held = file, bytearray()

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


@contextmanager
def told(place: Path, nbytes: int = 0) -> Iterator[None]:
    """Turn the system's refusals to write `nbytes` of scratch into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        way = f"Set {VARIABLE} to a folder with room. Results written before are whole; nothing else was changed"
        if error.errno in NO_ROOM:
            wanted = f"{nbytes / 2**20:.1f} MiB more are needed, " if nbytes else ""
            raise OutputError(
                f"the scratch folder {place} is full: {wanted}{_free(place) / 2**20:.1f} MiB are free. {way}"
            ) from error
        raise OutputError(f"the scratch folder {place} cannot be used: {error.strerror or error}. {way}") from error


def _warn(error: NoFolderError, nbytes: int) -> None:
    warnings.warn(f"{error}; more than {nbytes / 2**20:.0f} MiB are kept in memory meanwhile", stacklevel=4)


def _write(file: IO[bytes], place: int, data: bytes) -> None:
    """All of it, at a place: an unbuffered file takes as much at a time as it likes, and processes may share it."""
    rest = memoryview(data)
    with told(folder(), len(data)):
        while rest:
            if hasattr(os, "pwrite"):
                done = os.pwrite(file.fileno(), rest, place)
            else:
                file.seek(place)
                done = file.write(rest)
            rest, place = rest[done:], place + done


def _read(file: IO[bytes], place: int, count: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), count, place)
    file.seek(place)
    return file.read(count)


def _set_aside(file: IO[bytes], nbytes: int) -> None:
    """Have the disk hold `nbytes` for the file: a hole in a mapped file on a full disk ends the process (SIGBUS)."""
    if nbytes == 0:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(file.fileno(), 0, nbytes)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise
    if (free := _free(folder())) < nbytes:
        raise OSError(errno.ENOSPC, f"{free} bytes are free")
    file.truncate(nbytes)


def _free(place: Path) -> int:
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return 0


def _in_memory(place: Path) -> bool:
    """Whether a folder lies on a file system that is memory itself (Linux)."""
    try:
        mounts = [line.split()[1:3] for line in MOUNTS.read_text().splitlines()]
    except OSError:
        return False
    real = place.resolve()
    around = [(len(at), kind) for at, kind in mounts if real == Path(at) or Path(at) in real.parents]
    return bool(around) and max(around)[1] in ("tmpfs", "ramfs")
