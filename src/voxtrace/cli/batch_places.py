"""Files of a batch beside each other: what is in place, what is put there, what a killed process left."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from voxtrace.cli import outputs
from voxtrace.cli.batch_list import Job
from voxtrace.cli.batch_sources import prompts_json
from voxtrace.cli.case import mask_paths
from voxtrace.cli.options import ModelOptions
from voxtrace.errors import OutputError


def put_in_place(files: Mapping[Path, bytes], overwrite: bool, inputs: list[Path]) -> None:
    """Write the outputs that a worker sent, each whole or not at all. Raises OutputError."""
    for path in files:
        outputs.check_file(path, inputs, overwrite)
    for path, content in files.items():
        outputs.make_folder(path.parent)
        partial = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(f"{path} was not written: {error.strerror or error}") from None


def remove_partial(job: Job, options: ModelOptions) -> None:
    """Remove what a process that was killed left half-written beside a job's mask: .XXXXXXXX.NAME, as io.writing names
    it. Nothing more: other jobs may be writing there now."""
    names = "|".join(re.escape(name) for name in {job.out.name, *_names_of_parts(job, options)})
    ours = re.compile(rf"\.[0-9a-f]{{8}}\.(?:{names})")
    if job.out.parent.is_dir():
        for path in job.out.parent.iterdir():
            if ours.fullmatch(path.name):
                path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)


def _names_of_parts(job: Job, options: ModelOptions) -> Iterable[str]:
    """The files of a job with a mask an object, by the names in its prompts."""
    data = prompts_json(job)
    objects = data.get("objects") if isinstance(data, dict) else None
    if not isinstance(objects, list):
        return []
    told = [one.get("name") if isinstance(one, dict) else None for one in objects]
    names = [str(name or f"object {number}") for number, name in enumerate(told, start=1)]
    try:
        return [path.name for path in mask_paths(job.out, names, options)]
    except OutputError:  # then none was written
        return []


def in_place(row: Mapping[str, Any], job: Job) -> bool:
    """Whether all masks of a done row are there. They are looked for beside `out`: the folder may have been moved."""
    masks = row.get("outputs", {}).get("masks") or [job.out.name]
    return all((job.out.parent / Path(mask).name).exists() for mask in masks)


def absolute(job: Job) -> Job:
    """The same job for workers, which have another working directory."""
    scan = Path(os.path.abspath(job.scan)) if job.scan else None
    prompts = Path(os.path.abspath(job.prompts)) if isinstance(job.prompts, Path) else job.prompts
    return Job(scan, prompts, Path(os.path.abspath(job.out)), job.problem)


def anything_at(job: Job, options: ModelOptions) -> bool:
    """Whether a file is where the job would write."""
    if options.overlap == "settle" or not job.out.parent.is_dir():
        return job.out.exists()
    stem = outputs.stem_of(job.out)  # a mask an object, of names that are not known yet
    return job.out.exists() or any(path.name.startswith(f"{stem}_") for path in job.out.parent.iterdir())
