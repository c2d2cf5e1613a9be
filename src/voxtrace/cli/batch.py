"""`voxtrace batch`: many scans, each with its prompts file. Can be stopped and taken up again."""

from __future__ import annotations

import hashlib
import json
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from voxtrace.cli import outputs
from voxtrace.cli.case import Case, run_case
from voxtrace.cli.options import LazyEngine, ModelOptions, ReadOptions, Scan, WriteOptions, check_fit, read_objects
from voxtrace.cli.segment import mask_name
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.errors import CaseMissingError, InputError, OutputError, VoxtraceError
from voxtrace.io import read_mask
from voxtrace.prompt_text import ObjectPrompts, prompts_from_json
from voxtrace.volume import Picture, Volume

RECORD = "batch.jsonl"
SUFFIX = ".prompts.json"
FAILED = 3


@dataclass(frozen=True)
class Job:
    """One line of a batch. scan None: it could not be found, `problem` says why. prompts: a file or parsed JSON."""

    scan: Path | None
    prompts: Path | dict[str, Any]
    out: Path
    problem: str = ""


@dataclass(frozen=True)
class Batch:
    """Segment many scans, each with its prompts file. Done ones are skipped when it is run again; a failed one does
    not end the run. Exit code 3 if some failed."""

    cases: Annotated[Positional[Path], arg(metavar="LIST")]
    """A folder with NAME.nii.gz (or any scan) beside NAME.prompts.json, or a JSONL file with lines
    {"scan": ..., "prompts": FILE or {"objects": ...}, "out": NAME}; paths start at the JSONL's folder."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """The folder for the masks and the record batch.jsonl."""
    using: ModelOptions = field(default_factory=ModelOptions)
    reading: ReadOptions = field(default_factory=ReadOptions)
    preview: bool = False
    """Also draw a picture of each result, beside its mask."""
    writing: WriteOptions = field(default_factory=WriteOptions)

    def run(self) -> int:
        """Run all jobs; returns 0, or 3 if some failed."""
        self.using.check()
        outputs.check_input(self.cases, "list")
        jobs = read_jobs(self.cases, self.out)
        outputs.check_folder(self.out)
        outputs.make_folder(self.out)
        model = LazyEngine(self.using)
        record = Record(self.out / RECORD)
        rows = []
        with progress("scans", self.writing.silent, "scans") as advance:
            for number, job in enumerate(jobs):
                advance(number, len(jobs))
                rows.append(self._one(job, model, record))
            advance(len(jobs), len(jobs))
        return self._tell(rows)

    def _one(self, job: Job, model: LazyEngine, record: Record) -> dict[str, Any]:
        name, what = str(job.out.relative_to(self.out)), self._fingerprint(job)
        before = record.last.get(name, {})
        if before.get("status") == "done" and not self.writing.overwrite and job.out.exists():
            if before.get("fingerprint") == what:
                return before | {"status": "skipped"}
            problem = f"{job.out} was made with other prompts or settings; add --overwrite to make it again"
            return self._failed(job, name, problem)
        # A job that was started and never finished may have left its outputs: they are ours to replace.
        ours = before.get("status") in ("started", "failed") and bool(before.get("ours"))
        record.write({"out": name, "status": "started", "ours": ours or not job.out.exists()})
        try:
            row = self._report(job, name, what, model, self.writing.overwrite or ours)
        except (VoxtraceError, OSError, MemoryError) as error:
            row = self._failed(job, name, str(error) or type(error).__name__)
        except Exception as error:
            note(traceback.format_exc(), self.writing.quiet)
            row = self._failed(job, name, f"a fault in voxtrace, please report it: {type(error).__name__}: {error}")
        record.write(row | {"ours": ours or row["status"] == "done" or not job.out.exists()})
        return row

    def _report(self, job: Job, name: str, what: str, model: LazyEngine, overwrite: bool) -> dict[str, Any]:
        if job.scan is None:
            raise CaseMissingError(job.problem)
        case = Case(
            scan=job.scan,
            out=job.out,
            marks=lambda scan: objects_of(job, scan, self.reading.axis),
            reading=self.reading,
            preview=job.out.with_name(outputs.stem_of(job.out) + ".preview.png") if self.preview else None,
            inputs=[job.prompts] if isinstance(job.prompts, Path) else (),
            overwrite=overwrite,
        )
        report = run_case(case, model, quiet=True)
        note(f"done    {job.scan}", self.writing.silent)
        return {"out": name, "status": "done", "fingerprint": what} | report.to_json()

    def _failed(self, job: Job, name: str, problem: str) -> dict[str, Any]:
        note(f"failed  {job.scan or name}: {problem}", self.writing.silent)
        return {"out": name, "status": "failed", "scan": str(job.scan) if job.scan else None, "error": problem}

    def _fingerprint(self, job: Job) -> str:
        """What the result depends on besides the scan: prompts, model and reading options."""
        try:
            prompts = job.prompts.read_text() if isinstance(job.prompts, Path) else json.dumps(job.prompts)
        except (OSError, UnicodeDecodeError):
            prompts = ""
        options = {**vars(self.using), **vars(self.reading), "device": None}
        return hashlib.sha256(f"{prompts}{sorted(options.items())}".encode()).hexdigest()[:16]

    def _tell(self, rows: list[dict[str, Any]]) -> int:
        counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "skipped", "failed")}
        if self.writing.json:
            print_json(counts | {"results": rows, "record": str(self.out / RECORD)})
        else:
            say(", ".join(f"{count} {status}" for status, count in counts.items() if count))
            for row in rows:
                if row["status"] == "failed":
                    say(f"  {row['scan'] or row['out']}: {row['error']}")
            say(f"  masks     {self.out}")
        return FAILED if counts["failed"] else 0


def read_jobs(path: Path, out: Path) -> list[Job]:
    """The jobs of a folder or JSONL file; their outputs lie in `out` and differ. Raises InputError."""
    jobs = _folder_jobs(path, out) if path.is_dir() else _listed_jobs(path, out)
    if not jobs:
        need = f"no *{SUFFIX} in it" if path.is_dir() else "no line in it"
        raise InputError(f"{path} names no scan: {need}")
    names = [job.out.resolve() for job in jobs]
    for job in jobs:
        if names.count(job.out.resolve()) > 1:
            raise OutputError(f'two scans of {path} would be written to {job.out}; give them different "out" names')
        if out.resolve() not in job.out.resolve().parents:
            raise OutputError(f'{path}: "out" leads to {job.out}, outside of {out}')
    return jobs


def _folder_jobs(folder: Path, out: Path) -> list[Job]:
    jobs = []
    for prompts in sorted(folder.glob(f"*{SUFFIX}")):
        stem = prompts.name[: -len(SUFFIX)]
        scans = [p for p in sorted(folder.iterdir()) if p != prompts and stem in (p.name, outputs.stem_of(p))]
        scans = [p for p in scans if not p.name.endswith(SUFFIX)]
        if len(scans) == 1:
            jobs.append(Job(scans[0], prompts, out / mask_name(scans[0])))
            continue
        found = (
            f"several scans fit: {', '.join(p.name for p in scans)}" if scans else f"no scan called {stem}.* beside it"
        )
        jobs.append(Job(None, prompts, out / f"{stem}.nii.gz", f"{prompts}: {found}"))
    return jobs


def _listed_jobs(path: Path, out: Path) -> list[Job]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is no list: neither a folder nor a text file of JSON lines") from None
    return [_job(line, f"{path}, line {n}", path.parent, out) for n, line in enumerate(lines, 1) if line.strip()]


def _job(line: str, where: str, folder: Path, out: Path) -> Job:
    form = '{"scan": FILE, "prompts": FILE or {"objects": [...]}, "out": NAME}'
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg}; write {form}") from None
    if not isinstance(data, dict) or not isinstance(data.get("scan"), str):
        raise InputError(f"{where} names no scan; write {form}")
    unknown = sorted(set(data) - {"scan", "prompts", "out"})
    if unknown or not isinstance(data.get("out", ""), str):
        raise InputError(f"{where}: {unknown[0] if unknown else 'out'!r} is not understood; write {form}")
    scan, prompts = folder / data["scan"], data.get("prompts")
    name = data.get("out") or mask_name(scan)
    if prompts is None:
        prompts = scan.with_name(outputs.stem_of(scan) + SUFFIX)
    elif isinstance(prompts, str):
        prompts = folder / prompts
    elif not isinstance(prompts, dict):
        raise InputError(f"{where}: prompts is {prompts!r}; write a file's name or an object with 'objects'")
    return Job(scan, prompts, out / name)


def objects_of(job: Job, scan: Scan, axis: int) -> list[ObjectPrompts]:
    """The job's objects, checked to fit its scan."""
    if isinstance(job.prompts, Path):
        return check_fit(read_objects(job.prompts, scan), scan, axis, f"{job.prompts}: ")
    to_voxel = scan.to_voxel if isinstance(scan, Volume) else None
    flat = isinstance(scan, Picture)
    folder = job.scan.parent if job.scan else Path()
    found = prompts_from_json(job.prompts, folder, lambda path: read_mask(path, like=scan), to_voxel, flat)
    return check_fit(found, scan, axis, "prompts: ")


class Record:
    """What became of each job: one JSON object a line, only ever appended, so that a crash loses nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: dict[str, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                    self.last[row["out"]] = row
                except (ValueError, KeyError, TypeError):
                    continue  # the line that was being written when the machine went down

    def write(self, row: dict[str, Any]) -> None:
        """Append a line. Raises OutputError."""
        self.last[row["out"]] = row
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row, default=str) + "\n")
        except OSError as error:
            raise OutputError(f"the record {self.path} cannot be written: {error.strerror}") from None
