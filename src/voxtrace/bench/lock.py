"""What a run was made of: enough to repeat it and to see why a repetition differs."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import voxtrace
from voxtrace.bench.files import write_json
from voxtrace.bench.methods import Method
from voxtrace.bench.sources import hashes
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.manifest import Case

FILE = "lock.json"
PACKAGES = ("numpy", "scipy", "torch", "scikit-image", "pillow", "nibabel", "av")


def settings(plan: Mapping[str, Any], cases: Sequence[Case], methods: Sequence[Method]) -> dict[str, Any]:
    """All that decides the rows: a run is gone on with only if none of it changed."""
    return {
        **plan,
        "models": [method.name for method in methods],
        "voxtrace": voxtrace.__version__,
        "versions": versions(),
        "weights": {method.name: known for method in methods if (known := method.weights())},
        "data_sha256": hashes(cases),
    }


def lock(what: str, plan: Mapping[str, Any], settled: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    """The lock of a run. what: the kind of run; plan: as it can be made again; settled: its `settings`."""
    return {
        "what": what,
        "command": list(command),
        "plan": dict(plan),
        "settings": dict(settled),
        "code_sha256": code_hash(),
        "machine": machine(),
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide a mask; those that are not installed are left out."""
    known = {name: version for name in PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **known}


@cache
def code_hash() -> str:
    """Of all of this package's Python files, names and bytes; as they were when first asked for."""
    root = Path(voxtrace.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def machine() -> dict[str, Any]:
    """Where seconds were measured. No name and no path of it."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def write_lock(out: Path, content: Mapping[str, Any]) -> None:
    """Write lock.json into a folder. Raises OutputError."""
    write_json(out / FILE, content)


def read_lock(out: Path) -> dict[str, Any]:
    """The lock of a run's folder. Raises CaseMissingError, InputError."""
    path = out / FILE
    if not path.is_file():
        raise CaseMissingError(f"there is no {path}; give a folder that `voxtrace evaluate` or `voxtrace bench` wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict) or not {"what", "plan", "settings"} <= content.keys():
        raise InputError(f"{path} is not a lock of voxtrace")
    return content


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
