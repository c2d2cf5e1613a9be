"""From the command to the first mask of a picture, in a new process that cannot import PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from voxtrace.errors import ModelError

WITHOUT_TORCH = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
from voxtrace.cli import main
sys.exit(main())
"""


def startup_seconds(folder: Path, repeats: int, threads: int, engine: str = "auto") -> tuple[float, list[float]]:
    """The first run, in which graphs may be compiled and kept, and those after it. Nothing else is kept between them.

    Raises ModelError where it does not run without PyTorch.
    """
    from PIL import Image

    picture = folder / "picture.png"
    grey = np.random.default_rng(0).normal(80, 15, (256, 256))
    grey[90:170, 80:150] += 80
    Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(picture)
    seconds = [_once(picture, folder / f"mask{run}.png", threads, engine) for run in range(repeats + 1)]
    return seconds[0], seconds[1:]


def _once(picture: Path, out: Path, threads: int, engine: str) -> float:
    mark = ["--box", "85,75,175,155", "--no-cache", "--engine", engine]
    command = [sys.executable, "-c", WITHOUT_TORCH, "segment", str(picture), *mark, "-o", str(out)]
    environment = {**os.environ, "VOXTRACE_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if run.returncode or not out.exists():
        raise ModelError(f"`voxtrace segment` without PyTorch ended with code {run.returncode}: {run.stderr.strip()}")
    return seconds
