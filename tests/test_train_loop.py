"""The training loop, its losses and its recipe, on pictures made here."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from voxtrace.errors import InputError
from voxtrace.model.mask_decoder import Masks
from voxtrace.model.sketch import sketch
from voxtrace.train.loop import train
from voxtrace.train.losses import LossWeights, frame_loss
from voxtrace.train.recipe import Recipe, read_recipe
from voxtrace.train.samples import Options

pytestmark = pytest.mark.torch


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A manifest of three pictures, each a bright disc."""
    y, x = np.mgrid[:80, :96]
    rows = []
    for number in range(3):
        disc = (y - 35 - 3 * number) ** 2 + (x - 50) ** 2 < 14**2
        Image.fromarray(np.where(disc, 200, 60).astype(np.uint8)).save(tmp_path / f"{number}.png")
        Image.fromarray(disc.astype(np.uint8)).save(tmp_path / f"{number}_mask.png")
        row = {"id": f"discs/{number}", "set": "discs", "kind": "image", "modality": "photo", "image": f"{number}.png"}
        row |= {"mask": f"{number}_mask.png", "label_type": "semantic", "patient": str(number), "split": "train"}
        rows.append(json.dumps(row | {"may_train_shipped_weights": True}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_a_stopped_training_goes_on_where_it_was(pictures, tmp_path):
    recipe = Recipe("t", "voxtrace-small", image_size=64, steps=2, frames=2, lengths={2: 1.0}, workers=0)
    recipe = replace(recipe, samples=Options(size=64, volumes=0.0, synthetic=0.0, images=1.0))
    state = torch.load(train(recipe, pictures, tmp_path / "run"), weights_only=True)
    assert state["step"] == 2
    longer = torch.load(train(replace(recipe, steps=3), pictures, tmp_path / "run"), weights_only=True)
    assert longer["step"] == 3
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3]


def masks_of(truth: torch.Tensor, sure: float, score: float) -> Masks:
    logits = ((truth * 2 - 1) * sure)[:, None].expand(-1, 4, -1, -1)
    return Masks(logits, torch.ones(len(truth), 4), torch.zeros(len(truth), 4, 8), torch.full((len(truth), 1), score))


def test_a_perfect_mask_costs_next_to_nothing_and_its_negative_much():
    truth = torch.zeros(1, 16, 16)
    truth[:, 4:9, 3:12] = 1
    right = frame_loss(masks_of(truth, 10, 10), truth, False, LossWeights())
    wrong = frame_loss(masks_of(truth, -10, 10), truth, False, LossWeights())
    assert float(right.total) < 0.02
    assert float(right.dice_score) == 1
    assert float(wrong.total) > 5


def test_a_frame_without_the_object_teaches_its_score_alone():
    truth = torch.zeros(1, 16, 16)
    absent = frame_loss(masks_of(truth + 1, 10, -10), truth, False, LossWeights())
    assert float(absent.total) < 1e-3
    assert float(frame_loss(masks_of(truth, 10, 10), truth, False, LossWeights()).total) > 9


def test_a_box_is_drawn_as_its_ellipse_and_a_negative_click_as_a_hole():
    points = torch.tensor([[[16.0, 8.0], [47.0, 23.0], [40.0, 15.0]]])
    drawn = sketch(points, torch.tensor([[2, 3, 0]]), image_size=64, size=64)[0, 0]
    assert drawn[16, 24] > 0
    assert drawn[15, 40] < 0
    assert drawn[9, 17] < 0  # the box's corner
    assert drawn[16, 60] == -10


def test_a_recipe_with_an_unknown_key_is_refused_by_name(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\nmodel = "voxtrace-small"\nlearning_rate = 1\n')
    with pytest.raises(InputError, match="learning_rate"):
        read_recipe(path)


def test_the_recipe_of_the_embedded_weights_can_be_read():
    recipe = read_recipe(Path(__file__).resolve().parents[1] / "recipes" / "voxtrace-small.toml")
    assert recipe.model == "voxtrace-small"
    assert recipe.samples.size == recipe.image_size
