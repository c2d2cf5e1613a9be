"""The few calls of the Linux kernel that Python before 3.12 does not offer, by their numbers and flags."""

from __future__ import annotations

import ctypes
import os

NEW_MOUNTS, NEW_CGROUP, NEW_UTS, NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000

READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND = 0x1, 0x2, 0x4, 0x8, 0x20, 0x1000
RECURSIVE, PRIVATE = 0x4000, 0x40000

_DETACH = 2
_PARENT_DEATH_SIGNAL, _DUMPABLE, _NO_NEW_PRIVILEGES, _SUBREAPER = 1, 4, 38, 36
_HERE, _WHOLE_TREE = -100, 0x8000
_MOUNT_SETATTR, _PIVOT_ROOT = 442, {"x86_64": 155, "aarch64": 41, "riscv64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones; NEW_PID counts for children only. Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError that names the target."""
    words = [text.encode() for text in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), options.encode()), f"mount {target}")


def make_read_only(target: str, devices: bool = False) -> None:
    """The mount at `target` and all below it: nothing can be written, no set-user-id, no devices unless asked for."""
    flags = READ_ONLY | NO_SUID | (0 if devices else NO_DEV)
    wanted = _Attributes(flags, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(wanted))
    _check(
        _libc.syscall(_MOUNT_SETATTR, _HERE, target.encode(), _WHOLE_TREE, ctypes.byref(wanted), size),
        f"mount_setattr {target}",
    )


def unmount(target: str) -> None:
    """Take the mount away; what is still open in it stays until closed."""
    _check(_libc.umount2(target.encode(), _DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root; the old one is then at `old`, a folder in `new`."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root has no known number on {os.uname().machine}")
    _check(_libc.syscall(number, new.encode(), old.encode()), "pivot_root")


def die_with_parent() -> None:
    """Be killed when the process that started this one ends."""
    _prctl(_PARENT_DEATH_SIGNAL, 9)


def may_be_traced(yes: bool) -> None:
    """Whether other processes of the same user may look into this one."""
    _prctl(_DUMPABLE, int(yes))


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent has ended."""
    _prctl(_SUBREAPER, 1)


def no_new_privileges() -> None:
    """From here on no program gains rights when it is started: no set-user-id, no file capabilities."""
    _prctl(_NO_NEW_PRIVILEGES, 1)


def _prctl(option: int, value: int) -> None:
    rest = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    _check(_libc.prctl(option, *rest), f"prctl {option}")


def _check(code: int, what: str) -> None:
    if code < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
