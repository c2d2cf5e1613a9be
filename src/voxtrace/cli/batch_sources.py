"""What a batch's result is made of: the files that are read, and the hash by which the same work is known again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxtrace import checkpoints
from voxtrace.cli.batch_list import Job
from voxtrace.cli.options import ModelOptions, ReadOptions
from voxtrace.engines.finding import find_model
from voxtrace.errors import VoxtraceError
from voxtrace.hashing import sha256_of

HEADERS = (".mhd", ".nhdr", ".hdr")  # their voxels lie in another file of the same stem
ELSEWHERE = {"device": None}  # options that say where it is computed, not what


def settings_of(using: ModelOptions, reading: ReadOptions) -> str:
    """The options that a result depends on and the hash of the weights, as text. Reads a weights file that is not a
    known one."""
    options = {**vars(using), **vars(reading), **ELSEWHERE, "weights": _weights_hash(using)}
    return json.dumps(options, sort_keys=True, default=str)


def _weights_hash(using: ModelOptions) -> str:
    """ "" where the weights are not here: they may be on the workers' machines."""
    registered = checkpoints.lookup(using.model)
    if registered and registered.sha256:
        return registered.sha256
    try:
        return sha256_of(find_model(using.model, using.image_size).located().path)
    except (VoxtraceError, OSError):
        return ""


def files_of(job: Job) -> list[Path]:
    """The scan's files, the prompts file, and the masks that the prompts name; those that are there."""
    named = [*_scan_files(job.scan), *_prompts_file(job)]
    named += [path for mark in marks_with_files(job) for path in _members(mask_path(job, mark))]
    return list(dict.fromkeys(path for path in named if path.is_file()))


def missing(job: Job) -> str:
    """What is not there of a job's scan and prompts, in words; "" if they are."""
    if job.scan is None:
        return job.problem
    if not any(path.is_file() for path in _scan_files(job.scan)):
        return f"{job.scan} does not exist"
    if isinstance(job.prompts, Path) and not job.prompts.is_file():
        return f"the prompts file {job.prompts} does not exist"
    return ""


def prompts_folder(job: Job) -> Path:
    """Where the relative paths in a job's prompts start."""
    if isinstance(job.prompts, Path):
        return job.prompts.parent
    return job.scan.parent if job.scan else Path()


def prompts_json(job: Job) -> Any:
    """The prompts as JSON; None for a file that cannot be read, which is told when the job is run."""
    if not isinstance(job.prompts, Path):
        return job.prompts
    try:
        return json.loads(job.prompts.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def marks_with_files(job: Job, data: Any = None) -> Iterator[dict[str, Any]]:
    """Each mark of the prompts that names a mask's file. data: the prompts, if they are at hand."""
    data = prompts_json(job) if data is None else data
    objects = data.get("objects") if isinstance(data, dict) else None
    for one in objects if isinstance(objects, list) else ():
        marks = one.get("prompts") if isinstance(one, dict) else None
        for mark in marks if isinstance(marks, list) else ():
            if isinstance(mark, dict) and isinstance(mark.get("file"), str):
                yield mark


def mask_path(job: Job, mark: dict[str, Any]) -> Path:
    """The file that a mark names."""
    return prompts_folder(job) / mark["file"]


def stamp_of(job: Job, settings: str) -> str:
    """Names, sizes and times of the files, and the settings: equal if nothing was touched. No file is read."""
    files = [(os.path.abspath(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files_of(job)]
    return _digest(files, job.prompts if isinstance(job.prompts, dict) else None, settings)


def fingerprint_of(job: Job, settings: str) -> str:
    """Contents of the files, and the settings: equal if the result would be. Reads the whole scan."""
    files = [(path.name, sha256_of(path)) for path in files_of(job)]
    return _digest(files, job.prompts if isinstance(job.prompts, dict) else None, settings)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _scan_files(scan: Path | None) -> list[Path]:
    if scan is None:
        return []
    if not scan.exists():  # SCAN#SELECT
        scan = Path(str(scan).rpartition("#")[0] or scan)
    if scan.name.lower().endswith(HEADERS) and scan.parent.is_dir():
        return sorted(path for path in scan.parent.iterdir() if path.name.startswith(f"{scan.stem}."))
    return _members(scan)


def _prompts_file(job: Job) -> list[Path]:
    return [job.prompts] if isinstance(job.prompts, Path) else []


def _members(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path]
