"""`voxtrace cache`: what is kept of encoded frames, and how it is removed."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from voxtrace.cli.caching import CacheOptions
from voxtrace.cli.terminal import print_json, say
from voxtrace.feature_cache import room


@dataclass(frozen=True)
class CacheInfo:
    """Show where encoded frames are kept, how many, and how much they may take."""

    caching: CacheOptions = field(default_factory=CacheOptions)
    json: bool = False
    """One JSON object instead of text."""

    def run(self) -> int:
        """Print it."""
        self.caching.check()
        folder = self.caching.folder()
        about: dict[str, Any] = _about(folder, self.caching.limit()) if folder else {"folder": None}
        if self.json:
            print_json(about)
        elif folder is None:
            say("encoded frames are not kept on disk (VOXTRACE_CACHE=off or --no-cache)")
        else:
            say(f"folder   {folder}")
            say(f"holds    {about['entries']} encoded frames, {_size(about['bytes'])}")
            say(f"at most  {_size(about['limit'])}; the disk has {_size(about['free'])} free")
            if about["entries"]:
                say(f"used     last {about['last_used']}, longest ago {about['first_used']}")
            chosen = "" if self.caching.cache is None else f" --cache {shlex.quote(str(self.caching.cache))}"
            say(f"remove   voxtrace cache clear{chosen}")
        return 0


@dataclass(frozen=True)
class CacheClear:
    """Remove all encoded frames. Nothing but time is lost: they are made anew."""

    caching: CacheOptions = field(default_factory=CacheOptions)
    json: bool = False
    """One JSON object instead of text."""

    def run(self) -> int:
        """Remove them and say how many."""
        self.caching.check()
        folder = self.caching.folder()
        count, size = room.clear(folder) if folder else (0, 0)
        if self.json:
            print_json({"folder": folder, "entries": count, "bytes": size})
        else:
            say(f"{count} encoded frames removed, {_size(size)}" + (f" ({folder})" if folder else ""))
        return 0


@dataclass(frozen=True)
class Cache:
    """Encoded frames on disk: info, clear."""

    action: Annotated[CacheInfo, tyro.conf.subcommand("info")] | Annotated[CacheClear, tyro.conf.subcommand("clear")]

    def run(self) -> int:
        """Run the action."""
        return self.action.run()


def _about(folder: Path, limit: int | None) -> dict[str, Any]:
    held = room.entries(folder)
    size = sum(one.size for one in held)
    times = [time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used)) for one in (held[:1] + held[-1:])]
    return {
        "folder": folder,
        "entries": len(held),
        "bytes": size,
        "limit": room.default_limit(folder, size) if limit is None else limit,
        "free": shutil.disk_usage(room.existing(folder)).free,
        "first_used": times[0] if times else None,
        "last_used": times[-1] if times else None,
    }


def _size(size: int) -> str:
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
