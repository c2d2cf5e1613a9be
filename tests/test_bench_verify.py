"""Runs are repeated from their lock; what changed and what differs is named. And the benchmarks' own tables."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fake_engine import FakeEngine
from voxtrace import engines
from voxtrace.bench.lock import read_lock
from voxtrace.bench.robustness import LEVELS
from voxtrace.eval.results import read_results

pytestmark = pytest.mark.real


class Worse(FakeEngine):
    """Another net under the same name."""

    def begin(self, features, prompts):
        decoded = super().begin(features, prompts)
        decoded.logits[:, :13] = -10
        return decoded


def test_a_run_is_repeated_to_the_last_figure(voxtrace, manifest, tmp_path):
    words = ("--prompt", "box-jitter", "click", "--z-range", "both")
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", *words)
    ran = voxtrace("bench", "verify", tmp_path / "out")
    assert ran.code == 0
    assert "14 rows compared: the same" in ran.out


def test_figures_that_differ_are_named(voxtrace, manifest, tmp_path, monkeypatch):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out")
    monkeypatch.setattr(engines, "open_engine", lambda *_: Worse())
    ran = voxtrace("bench", "verify", tmp_path / "out", "--json", "--out", tmp_path / "again")
    assert ran.code == 3
    assert not ran.json["same"]
    assert any("pictures/0 1: dsc was" in line for line in ran.json["differing"])
    assert not any("seconds" in line for line in ran.json["differing"])
    assert len(read_results(tmp_path / "again")) == ran.json["compared"] == 6


def test_changed_data_are_named_by_case(voxtrace, manifest, tmp_path):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--kind", "image")
    labels = np.zeros((40, 50), np.uint8)
    labels[10:20, 22:30] = 1
    Image.fromarray(labels).save(manifest.parent / "0_mask.png")
    ran = voxtrace("bench", "verify", tmp_path / "out")
    assert ran.code == 3
    assert "changed    data_sha256.pictures/0" in ran.out
    assert "pictures/0 2: only in the old run" in ran.out
    assert "pictures/1 1" not in ran.out


def test_moved_data_are_found(voxtrace, manifest, tmp_path):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--kind", "image")
    manifest.parent.rename(tmp_path / "elsewhere")
    assert voxtrace("bench", "verify", tmp_path / "out").code == 2
    assert voxtrace("bench", "verify", tmp_path / "out", "--data", tmp_path / "elsewhere").code == 0


def test_an_interactive_run_is_repeated(voxtrace, manifest, tmp_path, monkeypatch):
    ran = voxtrace("bench", "interactive", "--data", manifest, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "dsc_auc" in ran.out
    assert "3 rows compared: the same" in voxtrace("bench", "verify", tmp_path / "out").out
    monkeypatch.setattr(engines, "open_engine", lambda *_: Worse())
    ran = voxtrace("bench", "verify", tmp_path / "out")
    assert ran.code == 3
    assert "pictures/0: dsc 1 was" in ran.out


def test_lock_says_what_a_run_was_made_of(voxtrace, manifest, tmp_path):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--seed", "4")
    lock = read_lock(tmp_path / "out")
    settings = lock["settings"]
    assert lock["what"] == "evaluate"
    assert settings["seed"] == 4
    assert set(settings["data_sha256"]) == {"pictures/0", "pictures/1", "scans/ct", "films/film"}
    assert len(settings["weights"]["voxtrace-small"]["sha256"]) == 64
    assert settings["versions"]["numpy"] == np.__version__


def test_no_run_no_verdict(voxtrace, tmp_path):
    ran = voxtrace("bench", "verify", tmp_path)
    assert ran.code == 2
    assert "lock.json" in ran.err


def test_robustness_writes_a_curve_for_each_fault(voxtrace, manifest, tmp_path):
    words = ("bench", "robustness", "--data", manifest, "--kind", "image", "--out", tmp_path / "out")
    assert voxtrace(*words).code == 0
    with (tmp_path / "out" / "robustness.csv").open() as file:
        points = list(csv.DictReader(file))
    overall = [p for p in points if p["kind"] == "overall"]
    assert [(p["fault"], float(p["level"])) for p in overall] == [
        (f, v) for f, levels in LEVELS.items() for v in levels
    ]
    assert all(float(p["lost"]) == 0 for p in overall if float(p["level"]) == 0)
    clicks = {float(p["level"]): float(p["dsc"]) for p in overall if p["fault"] == "click-jitter"}
    assert clicks[0.0] == 1
    assert clicks[10.0] < 0.9  # some lie beside the block
    wrong = {float(p["level"]): float(p["lost"]) for p in overall if p["fault"] == "wrong-clicks"}
    assert wrong[0.2] > 0
    assert voxtrace("bench", "verify", tmp_path / "out").code == 0


def test_modalities_sets_models_beside_methods_without_weights(voxtrace, manifest, tmp_path):
    out = tmp_path / "out"
    assert voxtrace("bench", "modalities", "--data", manifest, "--out", out).code == 0
    asked = {(row.model, row.prompt, row.z_range) for row in read_results(out)}
    assert {("ellipse", "box", True), ("grabcut", "box", False), ("carried", "mask", True)} <= asked
    assert ("voxtrace-small", "click", False) in asked
    assert ("carried", "box", False) not in asked
    text = (out / "modalities.md").read_text()
    assert "| ellipse | box | told |" in text
    found = json.loads((out / "modalities.json").read_text())
    assert found["weights"]["voxtrace-small"]["net"] == "voxtrace-small"
    assert str(tmp_path) not in json.dumps(found)
