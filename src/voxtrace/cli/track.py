"""`voxtrace track`: an object through a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from voxtrace.cli import outputs
from voxtrace.cli.case import Case, check_case, run_case
from voxtrace.cli.options import LazyEngine, Marked
from voxtrace.cli.report import heading
from voxtrace.cli.terminal import print_json, say
from voxtrace.volume import Video


@dataclass(frozen=True)
class Track(Marked):
    """Track an object through a video (mp4, avi, mkv, or a folder of frames); write one label PNG a frame."""

    video: Annotated[Positional[Path], arg(metavar="VIDEO")]
    """The video, or a folder of equally large pictures in the order of their names."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """The folder for the masks, one PNG a frame."""
    backward: bool = False
    """Also track from the prompt back to the beginning."""
    overlay: Annotated[Path | None, arg(metavar="OUT.mp4")] = None
    """Also write the video with the masks drawn in."""
    preview: Annotated[Path | None, arg(metavar="OUT.png")] = None
    """Also draw a strip of frames."""

    def run(self) -> int:
        """Track; returns the exit code."""
        self.check()
        case = Case(
            scan=self.video,
            out=self.out,
            marks=self.marks.objects,
            preview=self.preview,
            overlay=self.overlay,
            inputs=self.marks.files(),
            overwrite=self.writing.overwrite,
            backward=self.backward,
            expected=(Video,),
        )
        outputs.check_input(case.scan_file, "video")
        check_case(case)
        model = LazyEngine(self.using, self.caching)
        report = run_case(case, model, self.writing.silent)
        if self.writing.json:
            about = {"model": model.engine.name, "engine": model.runs_on, "seconds": report.seconds}
            about["memory"] = self.using.memory or "fifo"
            print_json({**about, "results": [report.to_json()]})
        else:
            say(heading(self.using, model.engine.name, model.engine.image_size))
            for line in report.lines():
                say(line)
        return 0
