"""Where the commands keep encoded frames: the options, the environment, the default."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from voxtrace import checkpoints
from voxtrace.errors import InputError
from voxtrace.feature_cache import FeatureStore

FOLDER, SIZE = "VOXTRACE_CACHE", "VOXTRACE_CACHE_SIZE"
OFF = "off"
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@dataclass(frozen=True)
class CacheOptions:
    """Encoded frames on disk, so that a later command on the same scan only decodes (docs/cache.md)."""

    cache: Annotated[Path | None, arg(metavar="DIR")] = None
    """Where encoded frames are kept; by default VOXTRACE_CACHE (a folder or off), else the user's cache folder."""
    no_cache: bool = False
    """Neither look for encoded frames on disk nor keep any."""
    cache_size: Annotated[str | None, arg(metavar="SIZE")] = None
    """At most this much, as 500MB or 20GB; by default VOXTRACE_CACHE_SIZE, else 4 GiB or a tenth of the free disk."""

    def check(self) -> None:
        """Raise InputError for options that mean nothing."""
        if self.no_cache and (self.cache is not None or self.cache_size is not None):
            raise InputError("--no-cache beside --cache or --cache-size: leave one of them out")
        self.limit()

    def store(self) -> AbstractContextManager[FeatureStore | None]:
        """The store, open for one run; None where nothing is kept."""
        folder = self.folder()
        return nullcontext() if folder is None else FeatureStore(folder, self.limit())

    def folder(self) -> Path | None:
        """Where features are kept; None for nowhere."""
        named = os.environ.get(FOLDER, "")
        if self.no_cache or (self.cache is None and named.lower() == OFF):
            return None
        return (self.cache or Path(named or checkpoints.home() / "features")).expanduser()

    def limit(self) -> int | None:
        """Bytes; None for the default. Raises InputError."""
        for text, where in ((self.cache_size, "--cache-size"), (os.environ.get(SIZE), SIZE)):
            if text:
                return bytes_of(text, where)
        return None


def bytes_of(text: str, where: str) -> int:
    """20GB, 500 MB, 1.5GiB or plain bytes as a number. Raises InputError that names `where` it was given."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?\s*", text.upper())
    if found is None or found[2] not in UNITS:
        raise InputError(f"{where} {text}: write a size such as 500MB, 20GB or 1.5GiB")
    return int(float(found[1]) * UNITS[found[2]])
