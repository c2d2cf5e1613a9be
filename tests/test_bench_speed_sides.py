"""The speed benchmark's sides, as processes: ours, the published codes with the same weights, and the start-up."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from voxtrace.bench.speed.official import oracle_folder
from voxtrace.bench.speed.plan import SMALL
from voxtrace.bench.speed.side import Order
from voxtrace.bench.speed.startup import startup_seconds
from voxtrace.bench.speed.turns import turns
from voxtrace.bench.speed.weights import random_tiny
from voxtrace.bench.speed.work import Work, mean_iou
from voxtrace.cli import main
from voxtrace.engines.choosing import installed
from voxtrace.errors import ModelError

pytestmark = pytest.mark.real
WORK = Work(3, 128, objects=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.safetensors"
    random_tiny(path, WORK.side)
    return path


@pytest.mark.torch
def test_our_side_follows_all_objects_and_tells_what_each_verb_took() -> None:
    taken = turns({"ours": Order("voxtrace", WORK, SMALL, engine="torch")}, repeats=1, warm=False)["ours"]
    assert taken.masks is not None
    assert taken.masks.shape == (2, 3, 128, 128)
    assert taken.parts["begin"]["done"] == 2
    assert taken.parts["follow"]["done"] >= 4  # again where an object leaves its window
    assert 0 < sum(part["seconds"] for part in taken.parts.values()) <= 2 * taken.best
    assert taken.peak_mb is None or taken.peak_mb > 100
    assert taken.about["precision"] == "fp32"


@pytest.mark.torch
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the most memory that a process held")
def test_peak_memory_is_the_sides_own_not_that_of_who_asks() -> None:
    held = np.ones(2**28, np.float32)  # 1 GiB here
    peak = turns({"ours": Order("voxtrace", WORK, SMALL, engine="torch")}, 1, "encode", warm=False)["ours"].peak_mb
    assert peak is not None
    assert 100 < peak < held.nbytes / 2**20


def test_side_that_cannot_begin_ends_the_benchmark(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    order = Order("voxtrace", WORK, str(tmp_path / "none.safetensors"), engine="torch")
    with pytest.raises(ModelError, match="the side voxtrace ended with code 1"):
        turns({"ours": order}, repeats=1)
    assert "none.safetensors" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("reference", ["transformers", "sam2"])
def test_published_codes_find_the_same_masks_with_the_same_weights(weights: Path, reference: str) -> None:
    """With several objects at once, and with a pass for each."""
    if reference == "sam2" and not (oracle_folder() / "sam2").is_dir():
        pytest.skip(f"the official sam2 is not in {oracle_folder()}: run `make oracle`")
    separately = Work(WORK.slices, WORK.side, WORK.objects, separately=True)
    taken = turns(
        {
            "ours": Order("voxtrace", WORK, str(weights), WORK.side, "torch"),
            "together": Order(reference, WORK, str(weights)),
            "separately": Order(reference, separately, str(weights)),
        },
        repeats=1,
        warm=False,
    )
    ours = taken["ours"].masks
    assert ours is not None
    assert (ours.mean((2, 3)) > 0.05).all()
    assert (ours.mean((2, 3)) < 0.95).all()
    assert (ours[:, 0] != ours[:, 1]).any()
    for name in ("together", "separately"):
        theirs = taken[name].masks
        assert theirs is not None
        assert mean_iou(ours, theirs) >= 0.999


@pytest.mark.torch
def test_report_of_one_row(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    words = ["--quick", "--only", "encoder", "--engine", "torch", "--threads", "1", "--out", str(out)]
    assert main(["bench", "speed", *words]) == 0
    report = json.loads(out.read_text())
    (row,) = report["rows"]
    assert row["row"] == "encoder"
    assert row["ratio"] == pytest.approx(row["floor_s"] / row["ours_s"], abs=2e-3)
    assert report["matrix_gflops"]["float32"] > 0
    assert {"work", "ours_s", "reference", "reference_s", "ratio", "iou", "floor_s", "goal", "reached"} <= row.keys()
    assert "one slice at 128 encoded [torch fp32]" in capfd.readouterr().out


def test_first_mask_is_there_without_pytorch(tmp_path: Path) -> None:
    if not installed("openvino"):
        pytest.skip("OpenVINO is not installed: pip install 'voxtrace[openvino]'")
    first, later = startup_seconds(tmp_path, 1, 1)
    assert len(later) == 1
    assert min(first, *later) > 0
    assert (tmp_path / "mask1.png").exists()


def test_pytorch_is_not_there_in_the_start_up(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="torch"):
        startup_seconds(tmp_path, 0, 1, engine="torch")


@pytest.mark.torch
def test_random_weights_are_the_same_every_time(weights: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    random_tiny(again, WORK.side)
    assert np.array_equal(np.fromfile(again, np.uint8), np.fromfile(weights, np.uint8))
