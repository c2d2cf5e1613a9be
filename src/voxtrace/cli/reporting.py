"""`voxtrace report`: one HTML file, and the same as Markdown, from folders of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from voxtrace.bench.files import write_text
from voxtrace.cli import outputs
from voxtrace.cli.terminal import print_json, say
from voxtrace.errors import InputError
from voxtrace.report.making import TITLE, make

SUFFIX = ".html"


@dataclass(frozen=True)
class MakeReport:
    """One HTML file that can be read anywhere, and the same tables as Markdown, from what `voxtrace evaluate`,
    `voxtrace bench` and `voxtrace challenge` wrote. Each section is there if the results allow it."""

    results: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR [DIR ...]")]
    """Folders of results, or what `voxtrace challenge rank|reproduce|compare --json` printed, as a file."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE.html")]
    """The report; the Markdown file lies beside it."""
    title: str = TITLE
    """Its heading."""
    data: Annotated[Path | None, arg(metavar="DIR")] = None
    """The cases of a challenge, to show the worst ones. Evaluations and benchmarks keep theirs in their folder."""
    no_pictures: bool = False
    """Leave all pictures of cases out."""
    overwrite: bool = False
    """Replace a report that is there already; never an input."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Make it."""
        if not self.results:
            raise InputError("there is nothing to report on; name at least one folder of results")
        second = self.out.with_suffix(".md")
        for path in self.results:
            outputs.check_input(path, "folder of results")
        if self.data is not None:
            outputs.check_input(self.data, "folder of cases")
        outputs.check_file(self.out, self.results, self.overwrite, (SUFFIX,))
        outputs.check_file(second, self.results, self.overwrite)
        cases = None if self.no_pictures else self.data
        report = make(self.results, self.title, pictures=not self.no_pictures, cases=cases)
        outputs.make_folder(self.out.parent)
        write_text(self.out, report.html)
        write_text(second, report.markdown)
        if self.json:
            sections = [part.title for part in report.document.sections]
            print_json({"html": str(self.out), "markdown": str(second), "sections": sections})
            return 0
        say(f"{self.out} ({len(report.html) / 1e6:.1f} MB) and {second}")
        return 0
