"""A file's SHA-256, by which files are known again: weights, scans, masks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 22


def sha256_of(path: Path) -> str:
    """In hexadecimal; the file is read in pieces, however large it is."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as it was when it was looked at; its hash is asked for later, if at all."""

    path: Path
    size: int
    changed_ns: int

    @classmethod
    def now(cls, path: Path) -> SeenFile:
        """Look at it. Raises OSError where it is not."""
        about = path.stat()
        return cls(path, about.st_size, about.st_mtime_ns)

    def sha256(self) -> str:
        """In hexadecimal; "" if the file is another by now, or gone."""
        try:
            found = sha256_of(self.path)
            return found if SeenFile.now(self.path) == self else ""
        except OSError:
            return ""
