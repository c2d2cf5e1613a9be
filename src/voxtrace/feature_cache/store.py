"""Features on disk: a second click on a scan, in another process, costs only decoding.

One file an entry, named by a hash of all that its content depends on, written under another name and renamed when it is
whole; so any number of processes share a folder without locks. Whatever is wrong with folder, disk or files, the store
is left out with one note: it never gives another result, and it never ends a run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.feature_cache.entry import FORMAT, DamagedError, pieces_of, read_entry
from voxtrace.feature_cache.room import SUFFIX, TAG, UNFINISHED, make_room

if TYPE_CHECKING:
    from typing_extensions import Self

WAITING = 16  # entries that may wait to be written; on a disk slower than the net the rest is left out
LOOK_EVERY = 16  # parts of the limit: after writing one of them, what other processes wrote is counted as well
SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# Kept by voxtrace; may be deleted. See docs/cache.md.\n"


def key_of(features_id: str, pixels: np.ndarray) -> str:
    """The name of the features of (H, W, 3) pixels as the net is shown them, by an engine with this features_id."""
    digest = hashlib.sha256(f"{FORMAT}\n{features_id}\n{pixels.shape} {pixels.dtype.str}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


class FeatureStore:
    """Entries in a folder. limit: bytes; None: 4 GiB or a tenth of the free disk. Safe to share among threads.

    Entries are written by a thread of its own, which `close` ends; use it as a context, or leave that to the end of the
    program. What is wrong with it is told as one warning by `read`, `write` or `close`.
    """

    def __init__(self, folder: str | Path, limit: int | None = None) -> None:
        self.folder = Path(folder).expanduser()
        self.limit = limit
        self.hits = self.misses = self.written = self.left_out = 0
        self._held: int | None = None  # bytes; None until somebody looked
        self._most = 0  # bytes, once somebody looked
        self._new = 0  # bytes written since then
        self._writer: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._lock = threading.Lock()  # of the two lines above and below
        self._note = ""
        self._told = False
        self._writes = True

    def read(self, key: str) -> dict[str, np.ndarray] | None:
        """An entry's arrays, or None where there is none that is whole."""
        path = self._path(key)
        arrays = None
        try:
            with path.open("rb", buffering=0) as file:
                arrays = read_entry(file, os.fstat(file.fileno()).st_size, key)
        except FileNotFoundError:
            pass
        except DamagedError as error:
            self.damaged(key, str(error))
        except OSError as error:
            self._leave_out(error)
        if arrays is None:
            self.misses += 1
        else:
            self.hits += 1
            with suppress(OSError):  # a folder that is only read keeps its order
                os.utime(path)
        self._tell()
        return arrays

    def write(self, key: str, arrays: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """Keep an entry; returns at once. `arrays` is called in the writing thread."""
        self._tell()
        with self._lock:
            if not self._writes:
                return
            if self._waiting >= WAITING:
                self.left_out += 1
                return
            self._waiting += 1
            if self._writer is None:
                self._writer = ThreadPoolExecutor(1, "voxtrace-feature-store")
            self._writer.submit(self._write, key, arrays)

    def damaged(self, key: str, why: str) -> None:
        """Remove an entry that cannot be used; it is made anew."""
        path = self._path(key)
        self._note = self._note or f"an entry of the feature cache {self.folder} is damaged ({why}); it is made anew"
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def close(self, wait: bool = True) -> None:
        """End the writing thread. wait: first write what waits; else only what is being written is finished."""
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.shutdown(wait=True, cancel_futures=not wait)
        self._waiting = 0
        self._tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(wait=kind is None or issubclass(kind, Exception))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}{SUFFIX}"

    def _write(self, key: str, arrays: Callable[[], Mapping[str, np.ndarray]]) -> None:
        """In the writing thread."""
        try:
            if self._writes and not self._path(key).exists():
                self._put(key, pieces_of(key, arrays()))
        except FileNotFoundError:  # somebody emptied the folder just now: the next entry makes it anew
            self._held = None
            self.left_out += 1
        except OSError as error:
            self._leave_out(error)
        except Exception as error:  # a thread's exception would be lost
            self._leave_out(OSError(f"{type(error).__name__}: {error}"))
        finally:
            with self._lock:
                self._waiting -= 1

    def _put(self, key: str, pieces: list[bytes | memoryview]) -> None:
        size = sum(len(piece) if isinstance(piece, bytes) else piece.nbytes for piece in pieces)
        if self._held is None:
            self._make_folder()
            self._look()
        if size > self._most:
            self.left_out += 1
            return
        path = self._path(key)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, name = tempfile.mkstemp(UNFINISHED, path.stem[:8] + "-", path.parent)  # only its owner may read it
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in pieces:
                    file.write(piece)
            os.replace(name, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
        self.written += 1
        self._held = (self._held or 0) + size
        self._new += size
        if self._held > self._most or self._new > self._most // LOOK_EVERY:
            self._look()

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tag = self.folder / TAG
        if not tag.exists():
            tag.write_text(SIGNATURE, encoding="ascii")

    def _look(self) -> None:
        self._held, self._most = make_room(self.folder, self.limit)
        self._new = 0

    def _leave_out(self, error: OSError) -> None:
        self._writes = False
        why = error.strerror or str(error)
        self._note = self._note or f"the feature cache {self.folder} is left out: {why}"

    def _tell(self) -> None:
        """One note, in the thread that uses the store."""
        if self._note and not self._told:
            self._told = True
            warnings.warn(self._note, stacklevel=3)
