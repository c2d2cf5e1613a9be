"""The files a submission sees: a new root with what it may read, read-only, and little room to write in."""

from __future__ import annotations

import os
import stat
from typing import Any

from voxtrace.bench.challenge.sandbox.jail import kernel

DEVICES = ("null", "zero", "full", "random", "urandom")
_STAGE, _OLD, _SCRATCH = "/tmp", "/.host", "/.scratch"  # _STAGE is on every machine; its content is not touched


def enter_view(view: dict[str, Any], owner: int) -> int:
    """Make the view the root of this mount namespace; returns the open file for what the submission prints.

    view: `binds` [[path here, path inside]], `links` [[target, path inside]], `texts` {path inside: content}; `room`
    is what can be written to: {"at": folders inside, "size": bytes of all together, "files": how many}.
    owner: the user (and group) that may write there.
    """
    kernel.mount("none", "/", "", kernel.RECURSIVE | kernel.PRIVATE)
    kernel.mount("tmpfs", _STAGE, "tmpfs", kernel.NO_SUID | kernel.NO_DEV, "mode=755,size=4m")
    os.mkdir(_STAGE + _OLD)
    os.chdir(_STAGE)
    kernel.pivot_root(_STAGE, _STAGE + _OLD)
    os.chdir("/")
    printed = _make_room(view["room"], owner)
    for source, target in view["binds"]:  # after the room: what is shown may lie in /tmp
        _show(source, target)
    for device in DEVICES:
        _show(f"/dev/{device}", f"/dev/{device}", devices=True)
    for target, link in [*view["links"], ["/proc/self/fd", "/dev/fd"]]:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, link)
    for path, text in view["texts"].items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write(path, text)
    os.mkdir("/proc")
    kernel.mount("proc", "/proc", "proc", kernel.NO_SUID | kernel.NO_DEV | kernel.NO_EXEC)
    kernel.unmount(_OLD)
    os.rmdir(_OLD)
    _without_shared_memory()
    kernel.mount("none", "/", "", kernel.REMOUNT | kernel.BIND | kernel.READ_ONLY | kernel.NO_SUID | kernel.NO_DEV)
    return printed


def _show(source: str, target: str, devices: bool = False) -> None:
    here = _OLD + source
    if stat.S_ISDIR(os.stat(here).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, "")
    kernel.mount(here, target, "", kernel.BIND | kernel.RECURSIVE)
    kernel.make_read_only(target, devices)


def _make_room(room: dict[str, Any], owner: int) -> int:
    """One file system of fixed size behind all folders that can be written to, and behind what is printed."""
    os.mkdir(_SCRATCH)
    options = f"mode=755,size={room['size']},nr_inodes={room['files']}"
    kernel.mount("tmpfs", _SCRATCH, "tmpfs", kernel.NO_SUID | kernel.NO_DEV, options)
    for number, folder in enumerate(room["at"]):
        part = f"{_SCRATCH}/{number}"
        os.mkdir(part)
        os.chown(part, owner, owner)
        os.makedirs(folder, exist_ok=True)
        kernel.mount(part, folder, "", kernel.BIND)
    printed = os.open(f"{_SCRATCH}/printed", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    kernel.unmount(_SCRATCH)
    os.rmdir(_SCRATCH)
    return printed


def _without_shared_memory() -> None:
    """System V shared memory outlives its processes and is seen in no process's size. Kernels before 6.2 keep it."""
    try:
        _write("/proc/sys/kernel/shmall", "0")
    except OSError:
        return


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
