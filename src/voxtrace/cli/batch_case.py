"""One case of a batch: from a task to the row that tells what became of it. The same here and in any worker."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxtrace.cli import outputs
from voxtrace.cli.batch_list import Job
from voxtrace.cli.batch_sources import fingerprint_of, prompts_folder, settings_of
from voxtrace.cli.case import Case, run_case
from voxtrace.cli.options import LazyEngine, ModelOptions, ReadOptions, Scan, check_fit, read_objects
from voxtrace.errors import CaseMissingError, VoxtraceError
from voxtrace.io import read_mask
from voxtrace.prompt_text import ObjectPrompts, prompts_from_json
from voxtrace.volume import Picture, Volume


@dataclass(frozen=True)
class Task:
    """A job to be done now. name: of its output in the batch's folder. replace: whether the output may be there
    already. stamp: of its files, see batch_sources. fingerprint: "" to be found out."""

    job: Job
    name: str
    replace: bool
    stamp: str = ""
    fingerprint: str = ""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Answer:
    """row: for the record, status done or failed. fault: a traceback, if voxtrace is to blame. no_model: why the model
    could not be opened, so that no other task would fare better; "" where it could or was not needed."""

    row: dict[str, Any]
    fault: str = ""
    no_model: str = ""


class NoModelError(Exception):
    """The model cannot be opened. Never leaves this file."""


@dataclass(frozen=True)
class CaseWork:
    """Does tasks, with one model that is loaded at the first. Can be pickled until then."""

    using: ModelOptions
    reading: ReadOptions
    preview: bool = False

    @cached_property
    def model(self) -> LazyEngine:
        """The engine of all tasks."""
        return LazyEngine(self.using)

    @cached_property
    def settings(self) -> str:
        """What the options say of all results; found out once, by the driver, and taken along to its workers."""
        return settings_of(self.using, self.reading)

    def __call__(self, task: Task) -> Answer:
        """Do it; whatever goes wrong is in the row."""
        start, fault, no_model = time.perf_counter(), "", ""
        try:
            row = self._done(task)
        except NoModelError as error:
            no_model = str(error)
            row = failed_row(task.job, task.name, no_model, type(error.__cause__).__name__)
        except (VoxtraceError, OSError, MemoryError) as error:
            row = failed_row(task.job, task.name, str(error) or type(error).__name__, type(error).__name__)
        except Exception as error:
            fault = traceback.format_exc()
            problem = f"a fault in voxtrace, please report it: {type(error).__name__}: {error}"
            row = failed_row(task.job, task.name, problem, type(error).__name__)
        return Answer(row | {"took_s": round(time.perf_counter() - start, 3)}, fault, no_model)

    def _done(self, task: Task) -> dict[str, Any]:
        job = task.job
        if job.scan is None:
            raise CaseMissingError(job.problem)
        fingerprint = task.fingerprint
        if not fingerprint:
            with suppress(OSError):  # a scan that cannot be read is told below
                fingerprint = fingerprint_of(job, self.settings)
        case = Case(
            scan=job.scan,
            out=job.out,
            marks=lambda scan: self._objects(job, scan),
            reading=self.reading,
            preview=preview_of(job) if self.preview else None,
            inputs=[job.prompts] if isinstance(job.prompts, Path) else (),
            overwrite=task.replace,
        )
        report = run_case(case, self.model, quiet=True)
        row = {"out": task.name, "status": "done", "fingerprint": fingerprint, "stamp": task.stamp}
        return row | report.to_json()

    def _objects(self, job: Job, scan: Scan) -> list[ObjectPrompts]:
        """The marks; when they are known to fit the scan, the model is opened."""
        objects = objects_of(job, scan, self.reading.axis)
        try:
            self.model.engine  # noqa: B018  opened when it is first asked for
        except VoxtraceError as error:
            raise NoModelError(str(error)) from error
        return objects


def preview_of(job: Job) -> Path:
    """The picture beside a job's mask."""
    return job.out.with_name(outputs.stem_of(job.out) + ".preview.png")


def failed_row(job: Job, name: str, problem: str, kind: str) -> dict[str, Any]:
    """The row of a failed job. kind: the error's class."""
    scan = str(job.scan) if job.scan else None
    return {"out": name, "status": "failed", "scan": scan, "error": problem, "error_type": kind}


def objects_of(job: Job, scan: Scan, axis: int) -> list[ObjectPrompts]:
    """The job's objects, checked to fit its scan."""
    if isinstance(job.prompts, Path):
        return check_fit(read_objects(job.prompts, scan), scan, axis, f"{job.prompts}: ")
    to_voxel = scan.to_voxel if isinstance(scan, Volume) else None
    flat = isinstance(scan, Picture)
    found = prompts_from_json(job.prompts, prompts_folder(job), lambda path: read_mask(path, like=scan), to_voxel, flat)
    return check_fit(found, scan, axis, "prompts: ")
