"""The list of a batch: a folder of scans with prompts files, or JSON lines; a job for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtrace.cli import outputs
from voxtrace.cli.batch_record import RECORD
from voxtrace.cli.batch_slips import WORKING
from voxtrace.cli.segment import mask_name
from voxtrace.errors import InputError, OutputError

SUFFIX = ".prompts.json"
RESERVED = (RECORD, WORKING)


@dataclass(frozen=True)
class Job:
    """One line of a batch. scan None: it could not be found, `problem` says why. prompts: a file or parsed JSON."""

    scan: Path | None
    prompts: Path | dict[str, Any]
    out: Path
    problem: str = ""


def read_jobs(path: Path, out: Path) -> list[Job]:
    """The jobs of a folder or JSONL file; their outputs lie in `out` and differ. Raises InputError."""
    jobs = _folder_jobs(path, out) if path.is_dir() else _listed_jobs(path, out)
    if not jobs:
        need = f"no *{SUFFIX} in it" if path.is_dir() else "no line in it"
        raise InputError(f"{path} names no scan: {need}")
    root, seen = out.resolve(), set[Path]()
    for job in jobs:
        place = job.out.resolve()
        if place in seen:
            raise OutputError(f'two scans of {path} would be written to {job.out}; give them different "out" names')
        if root not in place.parents:
            raise OutputError(f'{path}: "out" leads to {job.out}, outside of {out}')
        if place.relative_to(root).parts[0] in RESERVED:
            raise OutputError(f'{path}: "out" leads to {job.out}, where the batch keeps its own files; name another')
        seen.add(place)
    return jobs


def _folder_jobs(folder: Path, out: Path) -> list[Job]:
    files, jobs = sorted(folder.iterdir()), []
    called: dict[str, list[Path]] = {}  # the scans of each name, whole or without its ending
    for path in files:
        if not path.name.endswith(SUFFIX):
            for name in {path.name, outputs.stem_of(path)}:
                called.setdefault(name, []).append(path)
    for prompts in (path for path in files if path.name.endswith(SUFFIX)):
        stem = prompts.name[: -len(SUFFIX)]
        scans = called.get(stem, [])
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
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # Windows' editors put a mark before the first line
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
