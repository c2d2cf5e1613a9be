"""How much a folder of entries holds, and what goes first when it is too much: what was used longest ago."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".features"
UNFINISHED = ".unfinished"
TAG = "CACHEDIR.TAG"  # backups leave folders out that hold a file of this name
MOST = 4 * 2**30  # bytes, by default
SHARE = 0.1  # of what the disk has free, by default
DOWN_TO = 0.9  # of the limit, when something must go: so that it need not be looked for at every entry
STALE_S = 3600.0  # a file that is still unfinished after this was left by a process that was killed


@dataclass(frozen=True, slots=True)
class Held:
    """One entry. used: seconds since 1970."""

    path: Path
    size: int
    used: float


def entries(folder: Path) -> list[Held]:
    """All entries, the one used longest ago first; none where there is no folder."""
    return sorted(_files(folder, SUFFIX), key=lambda held: held.used)


def default_limit(folder: Path, held: int) -> int:
    """Bytes: 4 GiB, or a tenth of the disk's free space (what the cache holds counts as free) if that is less."""
    return min(MOST, int(SHARE * (shutil.disk_usage(existing(folder)).free + held)))


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above that is there: the disk on which it would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def make_room(folder: Path, limit: int | None) -> tuple[int, int]:
    """Remove what was used longest ago until it fits; (bytes held then, the limit). None: the default limit.

    Other processes may do the same meanwhile: a file that is gone already is no fault, one that cannot go stays.
    """
    held = entries(folder)
    total = sum(one.size for one in held)
    limit = default_limit(folder, total) if limit is None else limit
    if total > limit:
        for one in held:
            if total <= DOWN_TO * limit:
                break
            with suppress(OSError):
                one.path.unlink(missing_ok=True)
                total -= one.size
    for one in _files(folder, UNFINISHED):
        if time.time() - one.used > STALE_S:
            with suppress(OSError):
                one.path.unlink(missing_ok=True)
    return total, limit


def clear(folder: Path) -> tuple[int, int]:
    """Remove every entry and nothing else; (how many, their bytes). Raises OSError."""
    held = [*_files(folder, SUFFIX), *_files(folder, UNFINISHED)]
    for one in held:
        one.path.unlink(missing_ok=True)
    for inner in folder.glob("[0-9a-f][0-9a-f]") if (folder / TAG).exists() else ():
        with suppress(OSError):  # it holds something that is not ours, or another process writes into it now
            inner.rmdir()
    return len(held), sum(one.size for one in held)


def _files(folder: Path, suffix: str) -> Iterator[Held]:
    for path in folder.glob(f"[0-9a-f][0-9a-f]/*{suffix}"):
        with suppress(OSError):  # another process removed it
            about = path.stat()
            yield Held(path, about.st_size, about.st_mtime)
