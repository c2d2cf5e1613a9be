"""Files and folders by what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from voxtrace.errors import InputError

BYTECODE = "__pycache__"  # Python writes it as it likes


def hash_of(path: Path, without: str = "") -> str:
    """SHA-256 of a file; of a folder over names, modes and contents of all in it, links by where they lead.

    without: the name of folders that do not count. Raises InputError for what cannot be read.
    """
    if not path.is_dir():
        return _file_hash(path)
    total = hashlib.sha256()
    for name, mode, content in _below(path, without):
        total.update(f"{name}\0{mode}\0{content}\0".encode(errors="surrogateescape"))
    return total.hexdigest()


def hashes_below(folder: Path) -> dict[str, str]:
    """{name: first 16 digits of its hash, and "executable" where it is} of all files in a folder; links: -> where."""
    return {
        name: f"-> {content}" if (folder / name).is_symlink() else content[:16] + (" executable" if mode else "")
        for name, mode, content in _below(folder)
        if content
    }


def _below(folder: Path, without: str = "") -> Iterator[tuple[str, int, str]]:
    """(name, bits of execution, hash or where a link leads, "" for folders) of all below it, in order."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if without in name.parts:
            continue
        content = os.readlink(path) if path.is_symlink() else _file_hash(path) if path.is_file() else ""
        yield str(name), path.lstat().st_mode & 0o111, content


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return digest.hexdigest()
