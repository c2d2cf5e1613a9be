"""What the tests of the command line share: scans on disk, and a way to call it as a shell does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from fake_engine import FakeEngine
from phantoms import lesion, phantom
from voxtrace import engines
from voxtrace.cli import main
from voxtrace.volume import Volume

SHAPE = (12, 30, 35)
BOX = "6:7,16,17,27"  # around the phantom's lesion on its middle slice


@dataclass(frozen=True)
class Ran:
    """What a call gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


class CommandLine:
    """Call with the words of a command; asks the fake engine, and remembers it."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys = capsys
        self.opened: list[tuple[Any, ...]] = []
        monkeypatch.setattr(engines, "open_engine", self._open)

    def _open(self, *asked: Any) -> FakeEngine:
        self.opened.append(asked)
        return FakeEngine()

    def __call__(self, *words: object) -> Ran:
        self.capsys.readouterr()
        code = main([str(word) for word in words])
        captured = self.capsys.readouterr()
        return Ran(code, captured.out, captured.err)


def write_nifti(path: Path, volume: Volume) -> Path:
    """A NIfTI file written by nibabel alone, so that nothing of voxtrace is needed to make it."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine_lps
    nibabel.save(nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), ras), path)
    return path


def write_scan(path: Path, shape: tuple[int, int, int] = SHAPE, **options: Any) -> Path:
    """The CT phantom as NIfTI."""
    return write_nifti(path, phantom(shape, **options))


def write_mask(path: Path, mask: np.ndarray, **options: Any) -> Path:
    """A mask in the phantom's geometry."""
    return write_nifti(path, Volume(mask.astype(np.uint8), phantom(mask.shape, **options).affine_lps))


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|)."""
    return 2 * float((first & second).sum()) / float(first.sum() + second.sum())


def true_lesion() -> np.ndarray:
    """(D, H, W) bool of the phantom's object."""
    return lesion(SHAPE)


def write_picture(path: Path, left: int = 20, shape: tuple[int, int] = (40, 50)) -> Path:
    """A bright block on dark, rows 10..20, columns left..left+12."""
    pixels = np.full((*shape, 3), 30, np.uint8)
    pixels[10:20, left : left + 12] = 200
    Image.fromarray(pixels).save(path)
    return path
