"""`voxtrace export`: a model as ONNX graphs, for inference without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import arg

from voxtrace.cli import outputs
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.errors import MissingDependencyError


@dataclass(frozen=True)
class Export:
    """Write a model as ONNX graphs of its verbs, with its weights in one file beside them, for inference without
    PyTorch. The folder has the model's card and names its licence. docs/export.md tells how to run the graphs."""

    model: tyro.conf.Positional[str]
    """A name of `voxtrace weights list`, or a weights file."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """The folder for graphs and weights."""
    half: bool = False
    """Store the weights in float16: half the size, masks nearly the same. Those stored so already stay so."""
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    """Side in pixels of what the net sees, where the file does not say or another is wanted."""
    overwrite: bool = False
    """Replace the folder if it holds an exported model."""
    quiet: bool = False
    """No progress bar."""
    json: bool = False
    """One JSON object instead of text."""

    def run(self) -> int:
        """Export and tell what was written."""
        outputs.check_folder(self.out.parent)
        try:
            from voxtrace.export.writing import export  # torch takes seconds to import
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingDependencyError("torch", "export", "writing graphs") from None
        silent = self.quiet or self.json
        with progress(f"exporting {self.model}", silent, "graphs") as advance:
            done = export(self.model, self.out, self.image_size, self.half, self.overwrite, advance)
        if done.note:
            note(f"note: {done.note}", silent)
        if self.json:
            print_json({"folder": done.folder, "model": done.model, "licence": done.licence, "files": done.sizes})
            return 0
        for name, size in done.sizes.items():
            say(f"{size / 1e6:10.2f} MB  {name}")
        say(f"{sum(done.sizes.values()) / 1e6:10.2f} MB  in {done.folder}; licence: {done.licence or 'not stated'}")
        return 0
