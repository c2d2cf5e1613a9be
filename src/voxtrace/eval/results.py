"""What was measured: a row for each case, object and way of asking, and the files that hold them.

results.csv and results.parquet hold the same rows and columns in the same order. Overlaps are 0..1. Distances are mm in
volumes and pixels in pictures and videos; they are infinite where one of the two masks is empty.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from voxtrace.errors import CaseMissingError, InputError, MissingDependencyError, OutputError

DONE, FAILED = "done", "failed"
CSV_FILE, PARQUET_FILE = "results.csv", "results.parquet"


@dataclass(frozen=True, slots=True)
class Row:
    """One object of one case, found by one model from one prompt.

    z_range: the slices between which the object lies were told. object: its label; 0 where the case could not be read.
    patient: the case's id where the source does not say. seconds: wall clock of this object, without reading the file.
    peak_mb: the process's largest memory meanwhile, in MB; None where the system does not tell. frame: the slice or
    frame that was marked. knowledge: what of the truth the prompt was made from. error: why it failed.
    """

    model: str
    prompt: str
    z_range: bool
    set: str
    case: str
    object: int
    kind: str
    modality: str
    patient: str
    status: str
    dsc: float
    nsd: float
    iou: float
    hd95: float
    assd: float
    seconds: float
    peak_mb: float | None = None
    frame: int | None = None
    knowledge: str = ""
    error: str = ""

    @property
    def contender(self) -> tuple[str, str, bool]:
        """What is compared: the model, how it was asked, and whether the z range was told."""
        return self.model, self.prompt, self.z_range


COLUMNS = tuple(field.name for field in fields(Row))
_TYPES = {field.name: str(field.type) for field in fields(Row)}


def failed(row: Row) -> bool:
    """Whether the object was not found because something broke; its overlaps are 0."""
    return row.status == FAILED


def write_results(folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Write results.csv, and results.parquet where pyarrow is installed; returns the files. Raises OutputError."""
    written = [_whole(folder / CSV_FILE, _csv(rows))]
    try:
        import pyarrow
    except ImportError:
        return written
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    table = pyarrow.table(columns, schema=pyarrow.schema([(name, _arrow(pyarrow, name)) for name in COLUMNS]))
    return [*written, _whole(folder / PARQUET_FILE, _parquet(table))]


def missing_parquet() -> str:
    """Why results.parquet will not be written, "" if it will."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return str(MissingDependencyError("pyarrow", "eval", PARQUET_FILE))
    return ""


def read_results(path: Path) -> list[Row]:
    """The rows of a results.csv, or of the folder that holds one. Raises CaseMissingError, InputError."""
    file = path / CSV_FILE if path.is_dir() else path
    if not file.is_file():
        raise CaseMissingError(f"there are no results at {file}; give a folder that `voxtrace evaluate` wrote")
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        lacking = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if lacking:
            raise InputError(f"{file} is not a results table: it has no column {', '.join(lacking)}")
        return [_row(line, f"{file}:{reader.line_num}") for line in reader]


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON can hold it: an infinite distance is null."""
    values = zip(COLUMNS, astuple(row), strict=True)
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values}


def from_plain(values: dict[str, Any]) -> Row:
    """The row that `plain` made. Raises TypeError for other columns."""
    distances: dict[str, Any] = {k: math.inf for k, v in values.items() if v is None and _TYPES.get(k) == "float"}
    return Row(**values | distances)


def _csv(rows: Iterable[Row]) -> Callable[[Path], Any]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    return lambda path: path.write_bytes(text.getvalue().encode())


def _parquet(table: Any) -> Callable[[Path], Any]:
    from pyarrow import parquet

    return lambda path: parquet.write_table(table, path)


def _whole(path: Path, write: Callable[[Path], Any]) -> Path:
    """The file is there as a whole or as it was."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _arrow(pyarrow: Any, name: str) -> Any:
    kind = _TYPES[name].split(" ")[0]
    return {"str": pyarrow.string(), "bool": pyarrow.bool_(), "int": pyarrow.int64(), "float": pyarrow.float64()}[kind]


def _row(line: dict[str, str], where: str) -> Row:
    try:
        return Row(**{name: _value(_TYPES[name], line[name]) for name in COLUMNS})
    except (ValueError, TypeError) as error:
        raise InputError(f"{where} is not a row of results: {error}") from None


def _value(kind: str, text: str) -> Any:
    if kind.endswith("| None") and text == "":
        return None
    if kind == "bool":
        return {"True": True, "False": False}[text]
    return {"str": str, "int": int, "float": float}[kind.split(" ")[0]](text)
