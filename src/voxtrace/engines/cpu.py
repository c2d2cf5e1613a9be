"""What this machine's processor reports, and which precision is fast on it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from voxtrace.errors import ModelError

FAST_BF16 = ("amx_bf16", "avx512_bf16")  # units that multiply bfloat16; elsewhere it is emulated, slower than float32
LEAST = "sse4_2"  # of x86 processors: without it OpenVINO ends the whole process


@dataclass(frozen=True, slots=True)
class Cpu:
    """name: as the system tells it. flags: None where it does not tell them (outside Linux)."""

    name: str
    flags: frozenset[str] | None

    @property
    def fast_bf16(self) -> str:
        """The flag of a unit that makes bfloat16 fast; "" without one."""
        return next((flag for flag in FAST_BF16 if flag in (self.flags or ())), "")

    @property
    def kind(self) -> str:
        """Name and flags: where both are equal, runtimes choose the same kernels; virtual machines share names."""
        return " ".join([self.name, *sorted(self.flags or ())])

    @property
    def too_old(self) -> bool:
        """Whether it is known to lack what OpenVINO's kernels need."""
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        return x86 and self.flags is not None and LEAST not in self.flags


@lru_cache(maxsize=1)
def this_cpu() -> Cpu:
    """The processor that this process runs on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return Cpu(platform.processor() or platform.machine(), None)
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    flags = fields.get("flags", fields.get("Features"))
    return Cpu(fields.get("model name", platform.machine()), None if flags is None else frozenset(flags.split()))


def threads() -> int | None:
    """How many threads a net may use: VOXTRACE_THREADS, else OMP_NUM_THREADS; None leaves it to the runtime."""
    for name in ("VOXTRACE_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text and (not text.isdigit() or int(text) < 1):
            if name == "OMP_NUM_THREADS":
                continue
            raise ModelError(f"{name}={text}: write a whole number of at least 1, or leave it away")
        if text:
            return int(text)
    return None


def threads_text(count: int | None) -> str:
    """What `threads` says, in words."""
    return "all cores" if count is None else "1 thread" if count == 1 else f"{count} threads"
