"""A run of a submission: a row for each case, and the files that hold them.

results.csv has the rows; results.json has them with everything else that is needed to judge or repeat the run.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.bench.challenge.limits import Limits
from voxtrace.bench.files import write_json, write_text
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.eval.bootstrap import figure

OK, SANDBOX_FAILED = "ok", "sandbox-failed"
STATUSES = {
    OK: "a prediction that could be scored",
    "not-started": "the command could not be started",
    "crashed": "it ended with an error and without output",
    "timeout": "it was killed at the limit in seconds",
    "memory": "it was killed at the limit in memory",
    "disk": "it used up the room for what it writes",
    "no-output": "it ended well and wrote nothing of the case's name",
    "unreadable": "its output is no npz, is damaged, has no segs, or holds a pickle",
    "wrong-shape": "segs has another shape than the image",
    "wrong-dtype": "segs holds no whole numbers",
    SANDBOX_FAILED: "the sandbox failed, not the submission; the case is run again the next time",
}
COLUMNS = ("case", "status", "dsc", "nsd", "seconds", "peak_memory", "message")
CSV_FILE, JSON_FILE, PREDICTIONS = "results.csv", "results.json", "predictions"


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case. dsc, nsd: 0 unless status is ok, None where there is no reference. seconds: wall clock with start-up.

    peak_memory: bytes of all processes together, None where not known. case_sha256, mask_sha256: first 16 digits.
    """

    case: str
    status: str
    dsc: float | None
    nsd: float | None
    seconds: float
    peak_memory: int | None
    message: str
    modality: str = ""
    case_sha256: str = ""
    mask_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All of it. settings: submission, limits, sandbox, scoring; machine: where it ran."""

    folder: Path
    settings: dict[str, Any]
    machine: dict[str, Any]
    rows: tuple[CaseRow, ...]

    @property
    def name(self) -> str:
        """The submission's name."""
        return str(self.settings["submission"]["name"])

    def summary(self) -> dict[str, Any]:
        """Counts, means with 95 % intervals over cases (a failed one counts 0), times of those that are ok."""
        done = [row for row in self.rows if row.status == OK]
        counts = {status: sum(row.status == status for row in self.rows) for status in STATUSES}
        seconds = [row.seconds for row in done]
        return {
            "cases": len(self.rows),
            "statuses": {status: count for status, count in counts.items() if count},
            "dsc": _mean([row.dsc for row in self.rows]),
            "nsd": _mean([row.nsd for row in self.rows]),
            "seconds": {"median": float(np.median(seconds)), "mean": float(np.mean(seconds))} if done else None,
            "peak_memory": max((row.peak_memory for row in done if row.peak_memory is not None), default=None),
        }


def write_run(run: Run) -> None:
    """Write results.csv and results.json into the run's folder, each whole or not at all. Raises OutputError."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in run.rows)
    whole: dict[str, Any] = {"settings": run.settings, "machine": run.machine, "summary": run.summary()}
    whole["cases"] = [asdict(row) for row in run.rows]
    write_text(run.folder / CSV_FILE, table.getvalue())
    write_json(run.folder / JSON_FILE, whole)


def read_run(folder: Path) -> Run:
    """The run in a folder that `voxtrace challenge run` wrote. Raises CaseMissingError, InputError."""
    file = folder / JSON_FILE
    if not file.is_file():
        raise CaseMissingError(f"there is no {file}; give a folder that `voxtrace challenge run` wrote")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        rows = tuple(CaseRow(**row) for row in data["cases"])
        run = Run(folder, data["settings"], data["machine"], rows)
        Limits(**run.settings["limits"])
        run.settings["submission"]["name"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is not a result of `voxtrace challenge run`: {error!r}") from None
    return run


def _mean(values: list[float | None]) -> dict[str, Any] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return asdict(figure(known, [""] * len(known), [str(number) for number in range(len(known))]))
