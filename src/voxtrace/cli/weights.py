"""`voxtrace weights`: which models are known, fetch one, look at a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from voxtrace import checkpoints
from voxtrace.cli.terminal import megabytes, note, print_json, progress, say


@dataclass(frozen=True)
class List:
    """Show the models known by name; those marked * are on this machine."""

    json: bool = False
    """One JSON object instead of a table."""

    def run(self) -> int:
        """Print the table."""
        rows = checkpoints.list_rows()
        if self.json:
            print_json({"models": [asdict(row) for row in rows]})
            return 0
        for row in rows:
            mark = "*" if row.installed else " "
            size = f"{row.image_size:5} px  {megabytes(row.size):>7}"
            say(f"{mark} {row.name:26} {size}  {row.licence:13} {row.note}".rstrip())
        say("\n* on this machine; fetch another with: voxtrace weights pull NAME")
        return 0


@dataclass(frozen=True)
class Pull:
    """Download a model's weights, check their hash, keep them for later."""

    name: tyro.conf.Positional[str]
    """A name of `voxtrace weights list`."""
    quiet: bool = False
    """No progress bar."""

    def run(self) -> int:
        """Download unless it is there, and print the file's path."""
        model = checkpoints.find(self.name)
        with progress(f"downloading {model.name}", self.quiet, "bytes") as advance:
            path = checkpoints.pull(model, advance)
        note(f"{model.name}: {checkpoints.hash_note(model)} Licence {model.licence}.", self.quiet)
        say(str(path))
        return 0


@dataclass(frozen=True)
class Check:
    """Look at a weights file: which net, which hash, does it load strictly. No code in the file is ever run."""

    file: tyro.conf.Positional[str]
    """A weights file, or a name of `voxtrace weights list`."""
    image_size: int | None = None
    """Side in pixels, where the file does not say."""
    json: bool = False
    """One JSON object instead of text."""

    def run(self) -> int:
        """Print what is found; exit code 2 if the file does not load."""
        report = checkpoints.check(self.file, self.image_size)
        if self.json:
            print_json(asdict(report))
        else:
            for line in _lines(report):
                say(line)
        return 2 if report.loads is False else 0


def _lines(report: checkpoints.Report) -> list[str]:
    dtypes = ", ".join(f"{count} {dtype}" for dtype, count in report.dtypes.items())
    loads = {True: "yes, every key fits", False: f"no: {report.problem}", None: f"not tried: {report.problem}"}
    lines = [
        f"file        {report.path}",
        f"net         {report.family}, frames at {report.image_size} px",
        f"tensors     {report.keys} ({dtypes}), {report.parameters / 1e6:.2f} M numbers, {report.naming} names",
        f"sha256      {report.sha256}",
        f"published   {f'as {report.published_as}' if report.published_as else 'not known by this hash'}",
        f"loads       {loads[report.loads]}",
    ]
    lines += [f"wrapped in  {report.wrapper}"] if report.wrapper else []
    lines += [f"note        {report.note}"] if report.note else []
    lines += [f"lacks       {', '.join(report.lacks)} (needed to be shipped)"] if report.lacks else []
    return lines


@dataclass(frozen=True)
class Weights:
    """Models and their weights: list, pull, check."""

    action: (
        Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[Pull, tyro.conf.subcommand("pull")]
        | Annotated[Check, tyro.conf.subcommand("check")]
    )

    def run(self) -> int:
        """Run the action."""
        return self.action.run()
