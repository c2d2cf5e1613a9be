"""The training loop, on pictures made here."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import tiny_training as tiny
from labelled import write_disc, write_rows
from voxtrace.errors import InputError, TrainingError
from voxtrace.manifest import read_manifest
from voxtrace.model.config import CONFIGS
from voxtrace.model.sam2 import Sam2
from voxtrace.train import running
from voxtrace.train.cases import LoadedCase, load_cases
from voxtrace.train.distributed import World
from voxtrace.train.journal import read_log
from voxtrace.train.loop import train
from voxtrace.train.optim import Average, optimiser as optimiser_of
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Options
from voxtrace.train.state import State
from voxtrace.train.stepping import Part, take_step
from voxtrace.train.watching import choose_watched, follow

pytestmark = pytest.mark.torch


@pytest.fixture
def pictures(tmp_path: Path) -> list[LoadedCase]:
    """Three pictures, each a bright disc."""
    rows = [write_disc(tmp_path, number, patient=str(number), may_train_shipped_weights=True) for number in range(3)]
    return load_cases(read_manifest(write_rows(tmp_path / "manifest.jsonl", rows)))


RECIPE = Recipe(
    "t",
    "voxtrace-small",
    image_size=64,
    steps=2,
    frames=2,
    lengths={2: 1.0},
    workers=0,
    samples=Options(size=64, volumes=0.0, synthetic=0.0, images=1.0),
)


@pytest.mark.parametrize("stage", ["refiner", "net"])
def test_a_stopped_training_goes_on_where_it_was(pictures, tmp_path, stage):
    recipe = replace(RECIPE, stage=stage)
    state = torch.load(train(recipe, pictures, tmp_path / "run"), weights_only=True)
    assert state["step"] == 2
    longer = torch.load(train(replace(recipe, steps=3), pictures, tmp_path / "run"), weights_only=True)
    assert longer["step"] == 3
    assert [row["step"] for row in read_log(tmp_path / "run" / "log.csv")] == ["1", "2", "3"]


def test_the_whole_net_starts_from_what_the_refiner_learned_alone(pictures, tmp_path):
    first = train(replace(RECIPE, stage="refiner"), pictures, tmp_path / "first")
    second = train(replace(RECIPE, stage="net", start=str(first), steps=0), pictures, tmp_path / "second")
    taught, start = torch.load(first, weights_only=True)["average"], torch.load(second, weights_only=True)["model"]
    assert taught.keys() == start.keys()
    assert all(torch.equal(value, start[name]) for name, value in taught.items())


def test_a_training_goes_on_from_a_shipped_file(pictures, tmp_path):
    net = Sam2(CONFIGS[RECIPE.model].at(RECIPE.image_size))
    file = tmp_path / "shipped.safetensors"
    save_file({name: weight.half().contiguous() for name, weight in net.state_dict().items()}, file)
    state = train(replace(RECIPE, start=str(file), steps=0), pictures, tmp_path / "on")
    begun = torch.load(state, weights_only=True)["model"]
    assert all(torch.equal(begun[name], value.half().float()) for name, value in net.state_dict().items())


def test_a_start_that_is_not_there_is_named(pictures, tmp_path):
    with pytest.raises(InputError, match=r"no file .*lost\.pt to start from"):
        train(replace(RECIPE, start=str(tmp_path / "lost.pt"), steps=0), pictures, tmp_path / "on")


def test_of_a_net_that_is_given_only_what_is_not_frozen_is_taught(pictures, tmp_path):
    net = Sam2(CONFIGS[RECIPE.model].at(64))
    for weight in net.image_encoder.parameters():
        weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train(RECIPE, pictures, tmp_path / "run", net=net)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not any(name.startswith("image_encoder") for name in changed)


def test_each_step_is_told(pictures, tmp_path):
    told = []
    train(RECIPE, pictures, tmp_path / "run", tell=told.append)
    assert [one.step for one in told] == [1, 2]
    assert told[0].sets == ("discs",)
    assert told[0].length == 2


def test_a_corrupt_case_is_named_once_and_the_run_goes_on(pictures, tmp_path, caplog):
    broken = replace(pictures[0], id="discs/broken", frames=np.zeros((1, 0, 0), np.uint8))
    told = []
    train(replace(RECIPE, steps=4, frames=4), [*pictures, broken], tmp_path / "run", tell=told.append)
    assert [one.step for one in told] == [1, 2, 3, 4]
    assert [name for one in told for name in one.left_out] == ["discs/broken"]
    assert caplog.text.count("discs/broken is left out") == 1
    assert list(json.loads((tmp_path / "run" / "run.json").read_text())["left_out"]) == ["discs/broken"]


def test_a_tiny_net_learns_one_ball_by_heart(tmp_path):
    recipe = replace(
        tiny.RECIPE,
        steps=60,
        lengths={1: 1.0},
        parts=1,
        rate=3e-3,
        warm_up=0.05,
        pictures=60.0,
        prompts=replace(tiny.RECIPE.prompts, correction=0.0),
        losses=replace(tiny.RECIPE.losses, focal=0.0, cross_entropy=3.0),
    )
    net = tiny.net()
    watched = choose_watched(recipe, [tiny.ball()], tiny.SIZE)

    def dice() -> float:
        """Of masks from a box, on windows that the training does not draw."""
        net.eval()
        found = [(follow(net, one.images, one.truth)[0], one.truth[0, 0] > 0) for one in watched]
        return float(np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in found]))

    assert dice() < 0.6
    train(recipe, [tiny.ball()], tmp_path, net=net)
    assert dice() > 0.9
    with Image.open(tmp_path / "pictures" / "00000060.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(2**20)}
    assert {(72, 202, 255), (255, 176, 0)} <= colours


def test_a_net_that_is_lost_ends_the_run_with_what_to_change(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "LOST_STEPS", 3)
    net = tiny.net()
    with torch.no_grad():
        net.no_mem_embed.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"finite for 3 steps, up to step 2: .* lower rate than 0\.001"):
        train(replace(tiny.RECIPE, steps=9), [tiny.ball()], tmp_path, net=net)


def test_a_lost_step_leaves_nothing_behind():
    torch.manual_seed(0)
    net = Sam2(CONFIGS["voxtrace-small"].at(64)).train()
    state = State(net, optimiser_of(net, tiny.RECIPE), Average(net, 0.9))
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    images, truth = torch.randn(1, 2, 3, 64, 64), torch.zeros(1, 2, 64, 64)
    truth[..., 20:40, 20:40] = 1
    images[0, 1, 0, 3, 3] = torch.inf
    outcome = take_step(state, tiny.RECIPE, [Part(0, images, truth, "clip")], 1, World(device=torch.device("cpu")))
    assert not np.isfinite(outcome.norm)
    assert all(torch.equal(weight, before[name]) for name, weight in net.named_parameters())
    assert all(bool(value.isfinite().all()) for value in net.state_dict().values())
