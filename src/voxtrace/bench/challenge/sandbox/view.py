"""What a submission in a folder sees of this machine: system programs, this Python, its own files, one case."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from voxtrace.bench.challenge.sandbox.order import Order
from voxtrace.bench.challenge.submission import INPUTS, OURS, OUTPUTS
from voxtrace.errors import SandboxError

WRITABLE = ("/tmp", OUTPUTS, "/dev/shm")
FILES = 65536  # how many files may be written
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
_PROCESSORS = ("/sys/devices/system/cpu", "/sys/devices/system/node")  # runtimes count cores here
_TEXTS = {
    "/etc/passwd": "submission:x:1000:1000::/tmp:/bin/sh\n",
    "/etc/group": "submission:x:1000:\n",
    "/etc/hosts": "",
}
ENVIRONMENT = {"HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "USER": "submission"}


def environment() -> dict[str, str]:
    """All of it: nothing of this process's own environment goes in. `python` is the one that runs voxtrace."""
    own = str(Path(sys.executable).parent)
    return ENVIRONMENT | {"PATH": f"{own}:/usr/local/bin:/usr/bin:/bin"}


def view_of(order: Order) -> dict[str, Any]:
    """Binds (read-only), links, texts and room to write, as sandbox/jail/filesystem.py takes them."""
    binds: list[list[str]] = []
    links: list[list[str]] = []
    for folder in _SYSTEM:
        if os.path.islink(folder):
            links.append([os.readlink(folder), folder])
        elif os.path.isdir(folder):
            binds.append([folder, folder])
    shared = [f"/etc/{name}" for name in _SETTINGS] + list(_PROCESSORS)
    binds += [[path, path] for path in shared if os.path.exists(path)]
    binds += [[str(path.resolve()), str(path)] for path in _readable(order)]
    _add_submission(order.submission.folder, binds, links)
    binds.append([str(order.inputs.resolve()), INPUTS])
    room = {"at": list(WRITABLE), "size": order.limits.disk, "files": FILES}
    return {"binds": binds, "links": links, "texts": _TEXTS, "room": room}


def check_hidden(private: Path, allow: tuple[Path, ...]) -> None:
    """Raise SandboxError if submissions could see `private`: it lies in a folder that is shown to them."""
    place = private.resolve()
    for shown in (*map(Path, _SYSTEM), *_pythons(), *(path.resolve() for path in allow)):
        if shown in (place, *place.parents):
            raise SandboxError(f"{private} lies in {shown}, which submissions can read; keep it elsewhere")


def _readable(order: Order) -> list[Path]:
    """This Python's folders and what was allowed, without those that are shown anyhow; outer ones first."""
    wanted = sorted({*_pythons(), *(path.absolute() for path in order.allow)})
    return [path for path in wanted if not any(Path(folder) in (path, *path.parents) for folder in _SYSTEM)]


def _pythons() -> set[Path]:
    found = {Path(prefix) for prefix in (sys.prefix, sys.base_prefix)}
    return {path for path in found | {path.resolve() for path in found} if path != Path("/")}


def _add_submission(folder: Path | None, binds: list[list[str]], links: list[list[str]]) -> None:
    for path in sorted(folder.iterdir()) if folder else ():
        inside = f"/workspace/{path.name}"
        if path.name in OURS:
            continue
        if path.is_symlink():
            links.append([os.readlink(path), inside])
        else:
            binds.append([str(path), inside])
