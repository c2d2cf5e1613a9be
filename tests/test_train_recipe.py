"""Recipes: what a TOML file says reaches its part of the training, and what it misspells is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from voxtrace.errors import InputError  # noqa: E402
from voxtrace.model.config import CONFIGS  # noqa: E402
from voxtrace.train.augment import Strength  # noqa: E402
from voxtrace.train.losses import LossWeights  # noqa: E402
from voxtrace.train.recipe import read_recipe  # noqa: E402

pytestmark = pytest.mark.torch

# Distillations are read by train/distilling/plan.py.
FILES = sorted((Path(__file__).resolve().parents[1] / "recipes").glob("*.toml"))
RECIPES = [path for path in FILES if not path.stem.startswith("distil-")]
HEAD = 'name = "x"\nmodel = "voxtrace-small"\nimage_size = 96\n'


@pytest.fixture
def read(tmp_path):
    """Read a recipe of the usual head and `more`."""

    def call(more: str):
        path = tmp_path / "r.toml"
        path.write_text(HEAD + more)
        return read_recipe(path)

    return call


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_here_can_be_read(path):
    recipe = read_recipe(path)
    assert recipe.model in CONFIGS
    assert recipe.samples.size == recipe.image_size


def test_strength_of_the_changes_to_samples_is_read_beside_the_other_options(read):
    samples = read("[samples]\nwhole_frame = 0.05\n[samples.strength]\nturn = 0.11\nnoise = 0.0\n").samples
    assert (samples.whole_frame, samples.size) == (0.05, 96)
    assert (samples.strength.turn, samples.strength.noise) == (0.11, 0.0)
    assert samples.strength.bend == Strength().bend


def test_without_a_word_on_strength_it_is_the_usual_one(read):
    assert read("[samples]\nwhole_frame = 0.05\n").samples.strength == Strength()


def test_every_table_reaches_its_part(read):
    recipe = read('stage = "refiner"\n[lengths]\n1 = 0.25\n3 = 0.75\n[prompts]\nhint = 1.0\n[losses]\nabsent = 0.5\n')
    assert recipe.stage == "refiner"
    assert recipe.lengths == {1: 0.25, 3: 0.75}
    assert recipe.prompts.hint == 1.0
    assert recipe.losses.absent == 0.5


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("learning_rate = 1\n", r"r\.toml: unknown keys learning_rate; known are .*\brate\b"),
        ("[samples]\nzom = [1.5, 2.0]\n", r"\[samples\]: unknown keys zom; known are .*\bzoom\b"),
        ("[samples.strength]\ntwist = 1\nturn = 1\n", r"\[samples\.strength\]: unknown keys twist; .*\bturn\b"),
        ("[prompts]\nboxes = 1\n", r"\[prompts\]: unknown keys boxes; known are .*\bbox\b"),
        ("[losses]\nabsence = 1\n", r"\[losses\]: unknown keys absence; known are .*\babsent\b"),
        ('stage = "refine"\n', r"r\.toml: stage 'refine' is unknown; one of refiner, net"),
    ],
    ids=["top", "samples", "strength", "prompts", "losses", "stage"],
)
def test_what_is_not_known_is_named_with_its_place_and_what_is_known(read, more, named):
    with pytest.raises(InputError, match=named):
        read(more)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ('rate = "fast"\n', r"r\.toml: rate is 'fast'; a number is needed"),
        ("frames = [8]\n", r"frames is \[8\]; a whole number is needed"),
        ("frames = 8.5\n", r"frames is 8\.5; a whole number is needed"),
        ("minutes = nan\n", r"minutes is nan; a number is needed"),
        ("minutes = -2\n", r"minutes is -2; it must be above 0"),
        ("workers = -1\n", r"workers is -1; it must be 0 or more"),
        ("workers = true\n", r"workers is True; a whole number is needed"),
        ("ships = 1\n", r"ships is 1; true or false is needed"),
        ("start = 5\n", r"start is 5; a text in quotes is needed"),
        ('without = "a"\n', r"without is 'a'; a list, each a text in quotes, is needed"),
        ("samples = 5\n", r"\[samples\] is 5; a table is expected"),
        ("lengths = 4\n", r"\[lengths\] is 4; a table is expected"),
        ("[lengths]\nfour = 0.5\n", r"\[lengths\]: four is no clip length; lines like 4 = 0\.5"),
        ('[lengths]\n4 = "a"\n', r"\[lengths\]: 4 = 'a'; a chance of 0 or more"),
        ("[lengths]\n1 = 0.5\n4 = -1.0\n", r"\[lengths\]: 4 = -1\.0; a chance of 0 or more"),
        ('[prompts]\nbox = "x"\n', r"\[prompts\]: box is 'x'; a number is needed"),
        ("[prompts]\nbox = -3\n", r"\[prompts\]: box is -3; it must be 0 or more"),
        ("[samples]\nzoom = 2.0\n", r"\[samples\]: zoom is 2\.0; a list of 2, each a number, is needed"),
        ("[samples]\nzoom = [1.0, 2.0, 3.0]\n", r"zoom is \[1\.0, 2\.0, 3\.0\]; a list of 2"),
        ('[samples.set_weights]\nct = "3"\n', r"set_weights is .*; a table, each value a number, is needed"),
        ("[samples]\nstrength = 1\n", r"\[samples\.strength\] is 1; a table is expected"),
    ],
)
def test_a_value_of_a_wrong_type_is_named_with_what_is_needed(read, more, named):
    with pytest.raises(InputError, match=named):
        read(more)


def test_an_image_size_that_the_net_cannot_take_is_refused_before_the_training(tmp_path):
    (tmp_path / "r.toml").write_text(HEAD.replace("96", "100"))
    with pytest.raises(
        InputError, match=r"r\.toml: image size 100 does not suit voxtrace-small: give a multiple of 32"
    ):
        read_recipe(tmp_path / "r.toml")


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(InputError, match=r"is a folder; name the \.toml file in it"):
        read_recipe(tmp_path)


def test_values_stay_as_they_are_written_for_a_state_remembers_them_so(read):
    recipe = read("rate = 1\n[samples]\nzoom = [2, 3.0]\n")
    assert repr(recipe.rate) == "1"
    assert repr(recipe.samples.zoom) == "[2, 3.0]"


@pytest.mark.parametrize(
    ("text", "named"),
    [('name = "x"\n', "model must be given"), ('name = "x"\nmodel = "samm"\n', "model 'samm' is unknown")],
)
def test_a_recipe_needs_a_known_model(tmp_path, text, named):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InputError, match=named):
        read_recipe(tmp_path / "r.toml")


def test_the_published_recipe_of_medsam2_says_what_was_published():
    recipe = read_recipe(next(path for path in RECIPES if path.stem == "medsam2"))
    assert (recipe.model, recipe.image_size, recipe.lengths) == ("sam2.1_hiera_tiny", 512, {8: 1.0})
    assert (recipe.rate, recipe.encoder_rate, recipe.layer_decay, recipe.weight_decay) == (5e-5, 3e-5, 0.9, 0.1)
    assert (recipe.clip_norm, recipe.floor, recipe.seed) == (0.1, 0.1, 123)
    assert recipe.losses == LossWeights()  # focal 20, dice 1, IoU 1, object score 1 are the defaults
    assert recipe.prompts.rounds == 7
    assert recipe.frames // 8 == 8  # clips a step
