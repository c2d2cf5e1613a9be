"""A file's SHA-256, by which files are known again: weights, scans, masks."""

from __future__ import annotations

import hashlib
from pathlib import Path

CHUNK = 1 << 22


def sha256_of(path: Path) -> str:
    """In hexadecimal; the file is read in pieces, however large it is."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
