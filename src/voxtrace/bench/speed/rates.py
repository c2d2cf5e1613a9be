"""What the processor attains in large matrix products, and what it is."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from voxtrace import __version__

SIZE = 2048  # of the square matrices
PROBE = 256
TELLING = ("sse4_2", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = ("numpy", "torch", "openvino", "onnxruntime", "transformers", "sam2")


def matrix_rates(threads: int, size: int = SIZE, repeats: int = 3) -> dict[str, float]:
    """Billions of operations a second by type; best of `repeats`. What is slower than float32 is emulated: a product of
    small matrices tells that, a large one could take minutes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rates = {"float32": _rate("float32", size, repeats)}
        for kind in ("bfloat16", "int8"):
            small = _rate(kind, min(size, PROBE), 2)
            rates[kind] = small if small < _rate("float32", min(size, PROBE), 2) else _rate(kind, size, repeats)
        return {kind: round(rate, 1) for kind, rate in rates.items()}
    finally:
        torch.set_num_threads(before)


def _rate(kind: str, size: int, repeats: int) -> float:
    import torch

    dtype = getattr(torch, kind)
    a = torch.ones(size, size).to(dtype)
    multiply: Callable[[Any, Any], Any] = torch._int_mm if kind == "int8" else torch.mm
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        multiply(a, a)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def machine(threads: int, cores: tuple[int, ...]) -> dict[str, Any]:
    """What this run may be compared with."""
    from voxtrace.engines.cpu import this_cpu

    cpu = this_cpu()
    versions = {"python": platform.python_version(), "voxtrace": __version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu.name,
        "cpu_flags": [flag for flag in TELLING if flag in (cpu.flags or ())],
        "fast_bf16": cpu.fast_bf16 or None,
        "cores_of_machine": os.cpu_count(),
        "cores_used": list(cores),
        "threads": threads,
        "system": platform.system(),
        "versions": versions,
    }


def idlest_cores(count: int, seconds: float = 1.0) -> tuple[int, ...]:
    """Which `count` of this process's cores had least to do within some seconds; none where it cannot be told."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    before = _busy()
    time.sleep(seconds)
    after = _busy()
    free = sorted(os.sched_getaffinity(0), key=lambda core: after.get(core, 0) - before.get(core, 0))
    return tuple(sorted(free[:count]))


def _busy() -> dict[int, int]:
    """Ticks of work that each core has done so far."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return {}
    fields = [line.split() for line in lines if line[:3] == "cpu" and line[3:4].isdigit()]
    return {int(name[3:]): sum(map(int, times[:3])) + sum(map(int, times[5:7])) for name, *times in fields}
