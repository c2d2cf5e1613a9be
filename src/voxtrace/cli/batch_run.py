"""The driver of a batch: which jobs are to be done, by whom, and what is written down of each."""

from __future__ import annotations

import os
import platform
import re
import secrets
import shutil
import uuid
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from voxtrace.cli import outputs
from voxtrace.cli.batch_case import Answer, CaseWork, Task, failed_row
from voxtrace.cli.batch_list import Job
from voxtrace.cli.batch_record import Record
from voxtrace.cli.batch_sources import files_of, fingerprint_of, settings_of, stamp_of
from voxtrace.cli.batch_spread import SpreadOptions
from voxtrace.cli.batch_worker import Cargo, Delivery, Parcel, Unseen, WorkerWork, read_slip
from voxtrace.cli.terminal import Advance, note
from voxtrace.cluster import Finished, Lost, Processes, RayCrew, Share, spread
from voxtrace.errors import ClusterLost, OutputError, VoxtraceError

WORKING = ".batch"  # in the output folder while workers are at it: the probe and the slips


@dataclass
class BatchRun:
    """A batch in the folder `out`, which is there. rows: what became of each job, by its name."""

    out: Path
    work: CaseWork
    record: Record
    overwrite: bool = False
    quiet: bool = False
    silent: bool = False
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    _ours: dict[str, bool] = field(default_factory=dict)
    _open: dict[str, Job] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def run(self, jobs: list[Job], how: SpreadOptions, advance: Advance) -> list[dict[str, Any]]:
        """Do what is not done; the rows in the order of the jobs."""
        self._take_up_slips()
        todo = self._to_do(jobs)
        try:
            if todo and how.asked:
                self._spread(todo, how, advance, len(jobs))
            else:
                for job in todo:
                    advance(len(self.rows), len(jobs))
                    task = self._begin(job)
                    self._finish(task, self.work(task), platform.node())
        finally:
            for job in self._open.values():  # cut off in the middle, by Ctrl-C or with its worker
                remove_partial(job.out)
        advance(len(jobs), len(jobs))
        return [self.rows[self._name(job)] for job in jobs]

    def _to_do(self, jobs: Iterable[Job]) -> list[Job]:
        todo = []
        for job in jobs:
            row = self._settled(job)
            if row is None:
                todo.append(job)
            else:
                self.rows[self._name(job)] = row
        return todo

    def _settled(self, job: Job) -> dict[str, Any] | None:
        """The row of a job that needs no work: done before, or not to be touched."""
        name = self._name(job)
        before = self.record.last.get(name, {})
        if before.get("status") != "done" or self.overwrite or not _in_place(before, job):
            return None
        settings = settings_of(self.work.using, self.work.reading)
        if before.get("stamp") == stamp_of(job, settings) or before.get("fingerprint") == fingerprint_of(job, settings):
            return before | {"status": "skipped"}
        problem = f"{job.out} was made with another scan, other prompts or settings; add --overwrite to make it again"
        return self._tell_failed(failed_row(job, name, problem, OutputError.__name__))

    def _begin(self, job: Job) -> Task:
        """Write down that the job is being done, so that what it leaves is known to be ours."""
        name = self._name(job)
        before = self.record.last.get(name, {})
        ours = before.get("status") in ("started", "failed") and bool(before.get("ours"))
        if before.get("status") == "started":
            remove_partial(job.out)
        self._ours[name], self._open[name] = ours, job
        self.record.write({"out": name, "status": "started", "ours": ours or not self._anything(job)})
        stamp = stamp_of(job, settings_of(self.work.using, self.work.reading))
        return Task(job, name, self.overwrite or ours, stamp)

    def _finish(self, task: Task, answer: Answer, place: str) -> None:
        row = answer.row | {"node": place}
        if answer.fault:
            note(answer.fault, self.quiet)
        ours = self._ours[task.name] or row["status"] == "done" or not self._anything(task.job)
        self.record.write(row | {"ours": ours})
        self.rows[task.name] = row
        self._open.pop(task.name, None)
        if row["status"] == "done":
            note(f"done    {task.job.scan}", self.silent)
        else:
            self._tell_failed(row)

    def _tell_failed(self, row: dict[str, Any]) -> dict[str, Any]:
        note(f"failed  {row['scan'] or row['out']}: {row['error']}", self.silent)
        return row

    def _spread(self, todo: list[Job], how: SpreadOptions, advance: Advance, total: int) -> None:
        todo = [_absolute(job) for job in todo]
        self._working.mkdir(exist_ok=True)
        token = secrets.token_hex(16)
        probe = self._working / "probe"
        probe.write_text(token)
        work = WorkerWork(self.work, probe, token, how.send)
        try:
            with self._crew(how, work, len(todo)) as crew:
                if self._take_up_slips():  # workers of a killed driver may have gone on until now
                    todo = self._to_do(todo)
                workers = min(crew.workers, len(todo))
                parcels = (self._parcel(self._begin(job)) for job in todo)
                if not workers:
                    return
                advance(len(self.rows), total)
                for one in spread(parcels, crew, workers, how.retries, self._cargo, self._rescued):
                    self._came(one)
                    advance(len(self.rows), total)
        except ClusterLost:  # its workers may be at it for a while, and the next run looks for their word here
            raise
        except BaseException:
            self._clear()
            raise
        self._clear()

    def _clear(self) -> None:
        self._take_up_slips()
        shutil.rmtree(self._working, ignore_errors=True)

    def _crew(self, how: SpreadOptions, work: WorkerWork, tasks: int) -> Any:
        share = Share(how.cpus_per_worker, how.gpus_per_worker)
        if how.cluster is None:
            return Processes(work, share, how.workers or 1)
        name = f"batch-{sha256(str(self.out.resolve()).encode()).hexdigest()[:12]}"
        return RayCrew(how.cluster, work, share, name, tasks, how.workers)

    def _parcel(self, task: Task) -> Parcel:
        sees = tuple((path, path.stat().st_size) for path in files_of(task.job))
        return Parcel(task, sees, self._slip(task.name))

    def _cargo(self, parcel: Parcel, answer: Delivery | Unseen) -> Parcel | None:
        """The same with the files, for a worker that asks for them."""
        if not isinstance(answer, Unseen):
            return None
        files, fingerprint = {}, ""
        with suppress(OSError):  # what is not sent is told by the worker: it is not there
            fingerprint = fingerprint_of(parcel.task.job, settings_of(self.work.using, self.work.reading))
            for path, _ in parcel.sees:
                files[path] = path.read_bytes()
        return replace(parcel, task=replace(parcel.task, fingerprint=fingerprint), cargo=Cargo(files))

    def _rescued(self, parcel: Parcel) -> Delivery | None:
        """What a dead worker had in place."""
        remove_partial(parcel.task.job.out)
        row = read_slip(parcel.slip)
        return None if row is None else Delivery(Answer(row))

    def _came(self, one: Finished[Parcel] | Lost[Parcel]) -> None:
        task = one.task.task
        if isinstance(one, Lost):
            problem = f"its worker was lost {one.tries} times while at it, the last time since {one.why}"
            self._finish(task, Answer(failed_row(task.job, task.name, problem, "WorkerLost")), "")
            return
        delivery: Delivery = one.answer
        for text in delivery.warnings:
            if text not in self._warned:
                self._warned.add(text)
                warnings.warn(text, stacklevel=2)
        answer = delivery.answer
        if delivery.files:
            try:
                put_in_place(delivery.files, task.replace, [path for path, _ in one.task.sees])
            except VoxtraceError as error:
                answer = Answer(failed_row(task.job, task.name, str(error), type(error).__name__))
        self._finish(task, answer, one.place)
        one.task.slip.unlink(missing_ok=True)

    def _take_up_slips(self) -> bool:
        """Write down what was finished and not told; whether there was any."""
        found = False
        for slip in sorted(self._working.glob("*.json")):
            row = read_slip(slip)
            if row is not None and self.record.last.get(row["out"], {}).get("status") == "started":
                self.record.write(row | {"ours": True})
                found = True
            slip.unlink(missing_ok=True)
        return found

    def _slip(self, name: str) -> Path:
        return self._working / f"{sha256(name.encode()).hexdigest()[:16]}.json"

    @property
    def _working(self) -> Path:
        return Path(os.path.abspath(self.out)) / WORKING

    def _anything(self, job: Job) -> bool:
        """Whether a file is where the job would write."""
        if self.work.using.overlap == "settle" or not job.out.parent.is_dir():
            return job.out.exists()
        stem = outputs.stem_of(job.out)  # a mask an object, of names that are not known yet
        return job.out.exists() or any(path.name.startswith(f"{stem}_") for path in job.out.parent.iterdir())

    def _name(self, job: Job) -> str:
        return os.path.relpath(job.out, self.out)


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


def remove_partial(out: Path) -> None:
    """Remove what a process that was killed left half-written beside `out`: .XXXXXXXX.NAME, as io.writing names it."""
    if out.parent.is_dir():
        ours = re.compile(rf"\.[0-9a-f]{{8}}\.{re.escape(out.name)}")  # nothing more: other cases are being written
        for path in out.parent.iterdir():
            if ours.fullmatch(path.name):
                path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)


def _in_place(row: Mapping[str, Any], job: Job) -> bool:
    """Whether all masks of a done row are there. They are looked for beside `out`: the folder may have been moved."""
    masks = row.get("outputs", {}).get("masks") or [job.out.name]
    return all((job.out.parent / Path(mask).name).exists() for mask in masks)


def _absolute(job: Job) -> Job:
    """Workers have another working directory."""
    scan = Path(os.path.abspath(job.scan)) if job.scan else None
    prompts = Path(os.path.abspath(job.prompts)) if isinstance(job.prompts, Path) else job.prompts
    return Job(scan, prompts, Path(os.path.abspath(job.out)), job.problem)
