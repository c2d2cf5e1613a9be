"""The competition's nets: each answers a case, and is run as it says."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from command_line import dice

pytest.importorskip("torch", reason="needs PyTorch: pip install 'voxtrace[torch]'")

pytestmark = pytest.mark.torch

SUBMISSIONS = Path(__file__).resolve().parents[1] / "competition"


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    """Run a submission's program on a bright disc; gives the labels that it wrote and the program's names."""
    y, x = np.ogrid[:80, :100]
    disc = (y - 38) ** 2 + (x - 55) ** 2 <= 20**2
    image = np.random.default_rng(0).normal(np.where(disc, 180, 60)[..., None], 10, (80, 100, 3))
    (tmp_path / "inputs").mkdir()
    case = {"imgs": image.clip(0, 255).astype(np.uint8), "boxes": np.array([[35, 18, 75, 58]])}
    np.savez(tmp_path / "inputs" / "2DBox_US_1.npz", **case)

    def run(name):
        monkeypatch.setattr(sys, "argv", ["predict.py", str(tmp_path / "inputs"), str(tmp_path)])
        names = runpy.run_path(str(SUBMISSIONS / name / "predict.py"))
        return np.load(tmp_path / "2DBox_US_1.npz")["segs"], disc, names

    return run


def test_each_finds_a_disc(submitted):
    for name in ("voxtrace-small", "voxtrace-small-fast", "voxtrace-small-int8"):
        labels, disc, _ = submitted(name)
        assert dice(labels == 1, disc) > 0.9, name


def test_the_fast_one_draws_without_mirror_images(submitted):
    from voxtrace.checkpoints import load

    net = submitted("voxtrace-small-fast")[2]["net"]
    assert load("voxtrace-small").config.mirrored
    assert not net.config.mirrored


def test_the_quantised_one_multiplies_whole_numbers(submitted):
    from torch import nn, qint8

    parts = list(submitted("voxtrace-small-int8")[2]["net"].modules())
    quantised = [part for part in parts if type(part).__name__ == "Linear"]
    assert len(quantised) > 20
    assert not any(type(part) is nn.Linear for part in parts)
    assert {part.weight().dtype for part in quantised} == {qint8}
