"""`make weights`: both stages, one after the other, and the file only in the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from labelled import write_disc, write_rows  # noqa: E402
from voxtrace.checkpoints import load, resolve  # noqa: E402
from voxtrace.train.recipe import Recipe  # noqa: E402
from voxtrace.train.remake import RECIPES, main, plan, read_recipe  # noqa: E402

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[1]
RECIPE = """
name = "{name}"
model = "voxtrace-small"
stage = "{stage}"
image_size = 64
steps = {steps}
frames = 2
workers = 0
pictures = 0
ships = true
[samples]
volumes = 0.0
synthetic = 0.0
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Recipes of two stages, a card, the old file, and a manifest of two pictures of which one may not be shipped."""
    rows = [write_disc(tmp_path, n, f"d{n}", may_train_shipped_weights=n == 0) for n in range(2)]
    write_rows(tmp_path / "manifest.jsonl", rows)
    for name, stage, steps in (("first", "refiner", 2), ("second", "net", 1)):
        (tmp_path / f"{name}.toml").write_text(RECIPE.format(name=name, stage=stage, steps=steps))
    (tmp_path / "card.md").write_text("# A card\n")
    (tmp_path / "old.safetensors").write_bytes(b"old")
    return tmp_path


def call(place: Path) -> int:
    recipes = [str(place / name) for name in ("first.toml", "second.toml")]
    paths = ["--data", str(place), "--out", str(place / "out"), "--card", str(place / "card.md")]
    return main([*paths, "--to", str(place / "old.safetensors"), "--recipes", *recipes])


def test_both_stages_are_trained_and_the_file_is_replaced_in_the_end(place, capsys):
    assert call(place) == 0
    told = capsys.readouterr().err
    assert "this takes 120 minutes of training (60 + 60)" in told
    found = resolve(place / "old.safetensors")
    assert load(found).config.image_size == 64
    runs = [json.loads((place / "out" / name / "run.json").read_text()) for name in ("1-first", "2-second")]
    assert [run["cases"] for run in runs] == [{"d0": 1}, {"d0": 1}]
    assert runs[1]["recipe"]["start"].endswith("1-first/state.pt")
    first = load_file(place / "old.safetensors")
    assert call(place) == 0
    again = load_file(place / "old.safetensors")  # not the bytes: safetensors writes its metadata in any order
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())


def test_where_a_stage_fails_the_old_file_stays(place, capsys):
    (place / "second.toml").write_text(RECIPE.format(name="second", stage="net", steps=1).replace("64", "96"))
    assert call(place) == 0
    (place / "old.safetensors").write_bytes(b"old")
    (place / "second.toml").write_text(RECIPE.format(name="second", stage="net", steps=1).replace("64", "128"))
    assert call(place) == 2
    assert "image_size was 96 and is 128" in capsys.readouterr().err
    assert (place / "old.safetensors").read_bytes() == b"old"


def test_nothing_is_shipped_from_data_that_may_not_be(place, capsys):
    rows = (place / "manifest.jsonl").read_text().replace("true", "false")
    (place / "manifest.jsonl").write_text(rows)
    assert call(place) == 2
    assert "nothing may be shipped" in capsys.readouterr().err


def test_the_recipes_of_the_embedded_weights_are_two_stages_of_one_net():
    first, second = (read_recipe(ROOT / path) for path in RECIPES)
    assert (first.stage, second.stage) == ("refiner", "net")
    assert first.model == second.model
    assert first.ships
    assert second.ships


def test_the_time_is_the_sum_of_the_stages():
    assert "97.5 minutes of training (75 + 22.5)" in plan(
        [Recipe("a", "m", minutes=75), Recipe("b", "m", minutes=22.5)]
    )
