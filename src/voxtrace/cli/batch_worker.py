"""A batch's case in a worker, which may or may not see the driver's files."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxtrace.cli.batch_case import Answer, CaseWork, Task
from voxtrace.cli.batch_list import Job
from voxtrace.cli.batch_slips import write_slip
from voxtrace.cli.batch_sources import marks_with_files, mask_path, prompts_json


@dataclass(frozen=True)
class Cargo:
    """The files of a job for a worker that does not see them: path on the driver's machine -> content."""

    files: Mapping[Path, bytes]


@dataclass(frozen=True)
class Parcel:
    """A task for a worker. sees: its files and their sizes. slip: where the worker leaves word that it is done."""

    task: Task
    sees: tuple[tuple[Path, int], ...]
    slip: Path
    cargo: Cargo | None = None

    def __str__(self) -> str:
        return self.task.name


@dataclass(frozen=True)
class Unseen:
    """The worker does not see the files: send them."""


@dataclass(frozen=True)
class Delivery:
    """What a worker answers. warnings: what it would have told. files: the outputs, if it could not write them."""

    answer: Answer
    warnings: tuple[str, ...] = ()
    files: Mapping[Path, bytes] | None = None


@dataclass(frozen=True)
class WorkerWork:
    """CaseWork, and where its files are. probe: a file in the output folder that holds `token`: who reads that there
    can write masks there. always: have the files sent even so."""

    case: CaseWork
    probe: Path
    token: str
    always: bool = False

    def __call__(self, parcel: Parcel) -> Delivery | Unseen:
        """Do the task in place, or with what was sent in a folder of its own."""
        if parcel.cargo is None and (self.always or not self._shares(parcel)):
            return Unseen()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("default")
            delivery = self._here(parcel) if parcel.cargo is None else self._apart(parcel, parcel.cargo)
        return replace(delivery, warnings=tuple(str(one.message) for one in told))

    def _shares(self, parcel: Parcel) -> bool:
        try:
            if self.probe.read_text() != self.token or not os.access(self.probe.parent, os.W_OK):
                return False
            return all(path.stat().st_size == size for path, size in parcel.sees)
        except OSError:
            return False

    def _here(self, parcel: Parcel) -> Delivery:
        answer = self.case(parcel.task)
        if answer.row["status"] == "done":
            write_slip(parcel.slip, answer.row)
        return Delivery(answer)

    def _apart(self, parcel: Parcel, cargo: Cargo) -> Delivery:
        with tempfile.TemporaryDirectory(prefix="voxtrace-") as folder:
            root = Path(folder)
            for path, content in cargo.files.items():
                place = _under(root, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            task = replace(parcel.task, job=_moved(parcel.task.job, root))
            answer = self.case(task)
            files = {_back(path, root): path.read_bytes() for path in _written(answer.row)}
            row = _told(answer.row, str(root))
        return Delivery(Answer(row, answer.fault), files=files)


def _under(root: Path, path: Path) -> Path:
    """Where a file of the driver's machine lies below `root`: all keep their places to each other."""
    path = Path(os.path.abspath(path))
    return root / path.relative_to(path.anchor)


def _back(path: Path, root: Path) -> Path:
    return Path("/") / path.relative_to(root)


def _moved(job: Job, root: Path) -> Job:
    scan = _under(root, job.scan) if job.scan else None
    prompts: Any = job.prompts
    if isinstance(prompts, Path):
        inside = Job(scan, _under(root, prompts), job.out)
        data = prompts_json(inside)
        if data is not None:
            _rename(job, data, root)
            assert isinstance(inside.prompts, Path)
            inside.prompts.write_text(json.dumps(data), encoding="utf-8")
        prompts = inside.prompts
    else:
        prompts = json.loads(json.dumps(prompts))
        _rename(job, prompts, root)
    return replace(job, scan=scan, prompts=prompts, out=_under(root, job.out))


def _rename(job: Job, data: Any, root: Path) -> None:
    for mark in marks_with_files(job, data):
        mark["file"] = str(_under(root, mask_path(job, mark)))


def _written(row: dict[str, Any]) -> list[Path]:
    """The files that a done row names; of a folder of masks all."""
    named = row.get("outputs", {})
    paths = [Path(path) for path in (*named.get("masks", ()), named.get("preview")) if path]
    return [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]


def _told(value: Any, root: str) -> Any:
    """The same with the driver's paths."""
    if isinstance(value, dict):
        return {key: _told(member, root) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_told(member, root) for member in value]
    return str(value).replace(root, "") if isinstance(value, str | Path) else value
