"""The driver of a batch: which jobs are to be done, by whom, and what is written down of each."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from voxtrace.cli.batch_case import Answer, CaseWork, Task, failed_row, preview_of
from voxtrace.cli.batch_list import Job
from voxtrace.cli.batch_places import absolute, anything_at, in_place, put_in_place, remove_partial
from voxtrace.cli.batch_record import Record
from voxtrace.cli.batch_slips import WORKING, Slips, read_slip
from voxtrace.cli.batch_sources import files_of, fingerprint_of, missing, stamp_of
from voxtrace.cli.batch_spread import SpreadOptions
from voxtrace.cli.batch_worker import Cargo, Delivery, Parcel, Unseen, WorkerWork
from voxtrace.cli.terminal import Advance, note
from voxtrace.cluster import Finished, Lost, Processes, RayCrew, Share, spread
from voxtrace.errors import CaseMissingError, ClusterLost, ModelError, OutputError, VoxtraceError


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
    _without_preview: int = 0

    def run(self, jobs: list[Job], how: SpreadOptions, advance: Advance) -> list[dict[str, Any]]:
        """Do what is not done; the rows in the order of the jobs."""
        self._take_up_slips()
        todo = self._to_do(jobs)
        if self._without_preview:
            bare = f"{self._without_preview} scans that were done before have no picture"
            warnings.warn(f"{bare}; --overwrite makes mask and picture", stacklevel=2)
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
                remove_partial(job, self.work.using)
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
        if before.get("status") != "done" or self.overwrite or not in_place(before, job):
            return None
        problem = missing(job)
        try:
            if not problem and self._same_work(job, before):
                self._without_preview += self.work.preview and not preview_of(job).exists()
                return before | {"status": "skipped"}
        except OSError as error:
            problem = f"{error.filename} cannot be read: {error.strerror}"
        if problem:
            problem = f"{problem}; {job.out}, which was made before, stays as it is"
            return self._tell_failed(failed_row(job, name, problem, CaseMissingError.__name__))
        problem = (
            f"{job.out} was made with another scan, other prompts, weights or options; add --overwrite to make it again"
        )
        return self._tell_failed(failed_row(job, name, problem, OutputError.__name__))

    def _same_work(self, job: Job, before: dict[str, Any]) -> bool:
        settings = self.work.settings
        return before.get("stamp") == stamp_of(job, settings) or before.get("fingerprint") == fingerprint_of(
            job, settings
        )

    def _begin(self, job: Job) -> Task:
        """Write down that the job is being done, so that what it leaves is known to be ours."""
        name = self._name(job)
        before = self.record.last.get(name, {})
        ours = before.get("status") in ("started", "failed") and bool(before.get("ours"))
        if before.get("status") == "started":
            remove_partial(job, self.work.using)
        # What comes to lie there from now on is ours as well: a worker may die between mask and picture, and another is
        # given the same task.
        ours = ours or not anything_at(job, self.work.using)
        self._ours[name], self._open[name] = ours, job
        self.record.write({"out": name, "status": "started", "ours": ours})
        stamp = ""
        with suppress(OSError):  # a scan that cannot be looked at is told by who reads it
            stamp = stamp_of(job, self.work.settings)
        return Task(job, name, self.overwrite or ours, stamp)

    def _finish(self, task: Task, answer: Answer, place: str) -> None:
        if answer.no_model:  # the task stays begun, and is done by the next run
            where = f" (on {place})" if place and place != platform.node() else ""
            raise ModelError(f"{answer.no_model}{where}")
        row = answer.row | {"node": place}
        if answer.fault:
            note(answer.fault, self.quiet)
        ours = self._ours[task.name] or row["status"] == "done" or not anything_at(task.job, self.work.using)
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
        todo = [absolute(job) for job in todo]
        token = self._slips.begin()
        work = WorkerWork(self.work, self._slips.probe, token, how.send)
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
        self._slips.clear()

    def _crew(self, how: SpreadOptions, work: WorkerWork, tasks: int) -> Any:
        share = Share(how.cpus_per_worker, how.gpus_per_worker)
        if how.cluster is None:
            return Processes(work, share, how.workers or 1)
        name = f"batch-{sha256(os.fsencode(self.out.resolve())).hexdigest()[:12]}"
        return RayCrew(how.cluster, work, share, name, tasks, how.workers)

    def _parcel(self, task: Task) -> Parcel:
        sees: tuple[tuple[Path, int], ...] = ()
        with suppress(OSError):
            sees = tuple((path, path.stat().st_size) for path in files_of(task.job))
        return Parcel(task, sees, self._slips.of(task.name))

    def _cargo(self, parcel: Parcel, answer: Delivery | Unseen) -> Parcel | None:
        """The same with the files, for a worker that asks for them."""
        if not isinstance(answer, Unseen):
            return None
        files, fingerprint = {}, ""
        with suppress(OSError):  # what is not sent is told by the worker: it is not there
            fingerprint = fingerprint_of(parcel.task.job, self.work.settings)
            for path, _ in parcel.sees:
                files[path] = path.read_bytes()
        return replace(parcel, task=replace(parcel.task, fingerprint=fingerprint), cargo=Cargo(files))

    def _rescued(self, parcel: Parcel) -> Delivery | None:
        """What a dead worker had in place."""
        remove_partial(parcel.task.job, self.work.using)
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
        for row in self._slips.taken_up():
            if self.record.last.get(row["out"], {}).get("status") == "started":
                self.record.write(row | {"ours": True})
                found = True
        return found

    @property
    def _slips(self) -> Slips:
        return Slips(Path(os.path.abspath(self.out)) / WORKING)

    def _name(self, job: Job) -> str:
        return os.path.relpath(job.out, self.out)
