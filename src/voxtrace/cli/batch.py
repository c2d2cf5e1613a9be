"""`voxtrace batch`: many scans, each with its prompts file. Can be stopped and taken up again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from voxtrace.cli import outputs
from voxtrace.cli.batch_case import CaseWork
from voxtrace.cli.batch_list import read_jobs
from voxtrace.cli.batch_record import RECORD, Record
from voxtrace.cli.batch_run import BatchRun
from voxtrace.cli.batch_spread import SpreadOptions
from voxtrace.cli.options import ModelOptions, ReadOptions, WriteOptions
from voxtrace.cli.terminal import print_json, progress, say

FAILED = 3


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
    spreading: SpreadOptions = field(default_factory=SpreadOptions)
    writing: WriteOptions = field(default_factory=WriteOptions)

    def run(self) -> int:
        """Run all jobs; returns 0, or 3 if some failed."""
        self.using.check()
        self.spreading.check()
        outputs.check_input(self.cases, "list")
        jobs = read_jobs(self.cases, self.out)
        outputs.check_folder(self.out)
        outputs.make_folder(self.out)
        work = CaseWork(self.using, self.reading, self.preview)
        telling = self.writing
        with Record(self.out / RECORD) as record, progress("scans", telling.silent, "scans") as advance:
            run = BatchRun(self.out, work, record, telling.overwrite, telling.quiet, telling.silent)
            rows = run.run(jobs, self.spreading, advance)
        return self._tell(rows)

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
