"""`voxtrace segment`: from a scan and a prompt to a mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from voxtrace.cli import outputs
from voxtrace.cli.case import Case, check_case, run_case
from voxtrace.cli.options import LazyEngine, Marked, ReadOptions, titled
from voxtrace.cli.report import Report, heading
from voxtrace.cli.terminal import print_json, say
from voxtrace.errors import InputError, OutputError
from voxtrace.volume import Picture, Volume

VOLUME_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha", ".npz")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Segment(Marked):
    """Segment an object in a volume or picture from one prompt, and write its mask in the scan's own geometry."""

    scans: Annotated[Positional[tuple[Path, ...]], arg(metavar="SCAN [SCAN ...]")]
    """The scan: NIfTI, NRRD, MetaImage, a DICOM folder, PNG, JPEG, TIFF, npz. SCAN#N takes one of several in a file.
    Several scans get the same prompts, each its own mask."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """The mask's file: .nii.gz, .nii, .seg.nrrd, .nrrd, .mha, .npz; pictures: .png, .tif. Several scans: a folder."""
    reading: ReadOptions = field(default_factory=ReadOptions, metadata=titled(ReadOptions))
    preview: Annotated[Path | None, arg(metavar="OUT.png")] = None
    """Also draw a picture of the result. For several scans a folder."""

    def run(self) -> int:
        """Segment every scan; returns the exit code."""
        self.check()
        cases = self._cases()
        for case in cases:
            outputs.check_input(case.scan_file, "scan")
            check_case(case)
        model = LazyEngine(self.using, self.caching)
        reports = []
        for case in cases:
            reports.append(run_case(case, model, self.writing.silent))
            if not self.writing.json:
                self._tell(reports[-1], model, first=len(reports) == 1)
        if self.writing.json:
            print_json(
                {
                    "model": model.engine.name,
                    "engine": model.runs_on,
                    "memory": self.using.memory or "fifo",
                    "seconds": round(sum(report.seconds for report in reports), 3),
                    "results": [report.to_json() for report in reports],
                }
            )
        return 0

    def _tell(self, report: Report, model: LazyEngine, first: bool) -> None:
        if first:
            say(heading(self.using, model.engine.name, model.engine.image_size))
        for line in report.lines():
            say(line)

    def _cases(self) -> list[Case]:
        if not self.scans:
            raise InputError("no scan is given; write: voxtrace segment SCAN -o OUT --box Z:Y0,X0,Y1,X1")
        several = len(self.scans) > 1
        folder = several or self.out.is_dir() or str(self.out).endswith("/")
        if several and self.out.is_file():
            raise OutputError(f"{len(self.scans)} scans need a folder for their masks; {self.out} is a file")
        cases = [self._case(scan, folder, several) for scan in self.scans]
        names = [case.out for case in cases]
        for name in names:
            if names.count(name) > 1:
                raise OutputError(f"two scans would both be written to {name}; segment them one by one")
        return cases

    def _case(self, scan: Path, folder: bool, several: bool) -> Case:
        return Case(
            scan=scan,
            out=self.out / mask_name(scan) if folder else self.out,
            marks=lambda read: self.marks.objects(read, self.reading.axis),
            reading=self.reading,
            preview=self.preview / f"{outputs.stem_of(scan)}.png" if self.preview and several else self.preview,
            inputs=self.marks.files(),
            overwrite=self.writing.overwrite,
            expected=(Volume, Picture),
        )


def mask_name(scan: Path) -> str:
    """The name of a scan's mask in a folder: its stem with an ending that can hold its geometry."""
    name = scan.name.lower()
    ending = next((e for e in VOLUME_ENDINGS if name.endswith(e)), ".nii.gz")
    if name.endswith(PICTURE_ENDINGS):
        ending = ".png"
    return outputs.stem_of(scan) + ending
