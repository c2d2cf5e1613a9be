"""What the tests of batches share: cases with their prompts, and what a record says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command_line import write_scan
from voxtrace.cli.batch_record import RECORD

SHAPE = (12, 30, 35)
BOX = {"kind": "box", "z": 6, "y0": 7, "x0": 16, "y1": 17, "x1": 27}


def write_cases(folder: Path) -> Path:
    """a, b and c with their prompts."""
    folder.mkdir()
    for seed, name in enumerate("abc"):
        write_scan(folder / f"{name}.nii.gz", SHAPE, seed=seed)
        (folder / f"{name}.prompts.json").write_text(json.dumps({"objects": [{"prompts": [BOX]}]}))
    return folder


def lines(out: Path) -> list[dict[str, Any]]:
    """The rows of a batch's record."""
    return [json.loads(line) for line in (out / RECORD).read_text().splitlines()]


def running(voxtrace: Callable[..., Any], cases: Path, out: Path) -> Callable[..., list[str]]:
    """Run `voxtrace batch` with more words; the statuses of a, b and c."""

    def run(*words: object) -> list[str]:
        ran = voxtrace("batch", cases, "-o", out, "--json", *words)
        return [row["status"] for row in ran.json["results"]]

    return run
