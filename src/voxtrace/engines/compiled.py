"""Graphs as a runtime compiled them, kept on disk: the next process begins in a tenth of the time.

One file an entry, named by a hash of all that it depends on (graph, weights, runtime, processor, precision, threads),
with a checksum before its bytes. Whatever is wrong with the folder or a file, the graph is compiled anew: never
another result, never the end of a run.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from voxtrace.checkpoints.registered import home

FORMAT = 1
SUFFIX = ".compiled"
UNFINISHED = ".unfinished"
MOST = 2**30  # bytes of all entries; voxtrace-small's five are some 50 MB
DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """Where they are kept: in VOXTRACE_CACHE, or beside what was downloaded; None for VOXTRACE_CACHE=off."""
    named = os.environ.get("VOXTRACE_CACHE", "")
    if named.lower() == "off":
        return None
    return (Path(named).expanduser() if named else home()) / "compiled"


class CompiledGraphs:
    """Entries in a folder. limit: bytes; what was used longest ago goes first."""

    def __init__(self, folder: Path, limit: int = MOST) -> None:
        self.folder = folder
        self.limit = limit

    def read(self, key: object) -> bytes | None:
        """What was kept under this key; None if nothing was, or nothing whole."""
        path = self._path(key)
        try:
            whole = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):  # the latter is told by `write`
            return None
        except OSError as error:
            _note(f"the compiled graph {path} cannot be read ({error.strerror}); it is compiled anew")
            return None
        if hashlib.sha256(memoryview(whole)[DIGEST:]).digest() != whole[:DIGEST]:
            self.foreign(key, "it is cut short or was changed")
            return None
        with suppress(OSError):  # a folder that is only read keeps its order
            os.utime(path)
        return whole[DIGEST:]

    def write(self, key: object, blob: bytes) -> None:
        """Keep it, if there is room: without it only time is lost."""
        path = self._path(key)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(blob) + DIGEST)
            handle, name = tempfile.mkstemp(UNFINISHED, dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(blob).digest())
                    file.write(blob)
                os.replace(name, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise
        except OSError as error:
            _note(
                f"compiled graphs are not kept in {self.folder} ({error.strerror}): each start compiles them; "
                "VOXTRACE_CACHE names another folder"
            )

    def foreign(self, key: object, why: str) -> None:
        """Remove an entry that cannot be used."""
        path = self._path(key)
        _note(f"the compiled graph {path} cannot be used ({why.splitlines()[0][:200]}); it is compiled anew")
        with suppress(OSError):
            path.unlink(missing_ok=True)

    def _path(self, key: object) -> Path:
        return self.folder / (hashlib.sha256(repr((FORMAT, key)).encode()).hexdigest() + SUFFIX)

    def _make_room(self, size: int) -> None:
        held = []
        for path in (*self.folder.glob(f"*{SUFFIX}"), *self.folder.glob(f"*{UNFINISHED}")):
            with suppress(OSError):  # another process removed it
                about = path.stat()
                held.append((about.st_mtime, about.st_size, path))
        total = sum(one[1] for one in held) + size
        for _, bytes_held, path in sorted(held):
            if total <= self.limit:
                return
            with suppress(OSError):
                path.unlink(missing_ok=True)
                total -= bytes_held


def _note(text: str) -> None:
    warnings.warn(text, stacklevel=4)
