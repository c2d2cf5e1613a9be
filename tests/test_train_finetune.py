"""Fine-tuning's parts: recipes, frozen cases, memory that runs out, cards."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtrace.checkpoints.nets import net_config  # noqa: E402
from voxtrace.errors import CaseMissingError, InputError, TrainingError  # noqa: E402
from voxtrace.manifest import Case, read_manifest  # noqa: E402
from voxtrace.model.config import (  # noqa: E402
    CONFIGS,
    HieraConfig,
    RepVitConfig,
    ResNetConfig,
    Sam2Config,
    VitDetConfig,
)
from voxtrace.model.sam2 import Sam2  # noqa: E402
from voxtrace.train.cases import LoadedCase, find_objects  # noqa: E402
from voxtrace.train.finetune import finetune, of_memory, out_of_memory  # noqa: E402
from voxtrace.train.frozen import MANIFEST, Asking, freeze, learnt_from  # noqa: E402
from voxtrace.train.tuned_card import Base, Story, card, data_sha256, licence, metadata  # noqa: E402
from voxtrace.train.tuning_recipes import recipe_for  # noqa: E402

pytestmark = pytest.mark.torch

SMALL = CONFIGS["voxtrace-small"]


def case(name: str, split: str = "train", patient: str | None = None) -> Case:
    return Case(f"scans/{name}", "scans", "volume", "ct", f"{name}.nii", f"{name}_m.nii", "semantic", split, patient)


CASES = [case("a"), case("b"), case("c", "val"), case("d", "val")]
HASHES = {one.id: f"hash of {one.id}" for one in CASES}


def ball() -> LoadedCase:
    z, y, x = np.mgrid[:8, :40, :44]
    mask = (z - 4) ** 2 * 4 + (y - 20) ** 2 + (x - 22) ** 2 < 100
    frames = np.where(mask, 180, 60).astype(np.uint8)
    return LoadedCase("scans/ball", "scans", "volume", "ct", frames, find_objects(mask.astype(int)), tuple(range(8)))


def tiny() -> Sam2:
    torch.manual_seed(0)
    return Sam2(replace(SMALL.at(64), trunk=ResNetConfig(depths=(1, 1, 1, 1))))


def test_windows_are_those_that_the_net_is_used_with():
    zoomed = recipe_for(SMALL, "full", 30).samples
    whole = recipe_for(net_config("sam2.1_hiera_tiny", 512), "full", 30).samples
    assert zoomed.zoom[0] < SMALL.zoom < zoomed.zoom[1]
    assert (zoomed.size, whole.size, whole.whole_frame) == (96, 512, 1.0)


def test_no_clip_is_longer_than_a_steps_frames():
    recipe = recipe_for(SMALL, "full", 30, frames=2)
    assert max(recipe.lengths) == 2
    assert sum(recipe.lengths.values()) == pytest.approx(1)


def test_large_frames_are_not_kept_for_the_gradient():
    assert recipe_for(net_config("sam2.1_hiera_tiny", 512), "lora", 30).checkpointing
    assert not recipe_for(SMALL, "lora", 30).checkpointing


def test_a_whole_sam2_is_taught_as_published():
    recipe = recipe_for(net_config("sam2.1_hiera_tiny", 512), "full", 30)
    assert (recipe.rate, recipe.encoder_rate, recipe.layer_decay) == (5e-5, pytest.approx(3e-5), 0.9)


def test_a_persons_numbers_go_before_the_defaults():
    recipe = recipe_for(SMALL, "lora", 7, rate=0.5, frames=3, steps=11, seed=4)
    assert (recipe.rate, recipe.frames, recipe.steps, recipe.seed, recipe.minutes) == (0.5, 3, 11, 4, 7)
    assert recipe_for(SMALL, "lora", 7).rate > recipe_for(SMALL, "full", 7).rate


FAMILIES = {
    "sam2": Sam2Config("sam2.1_hiera_tiny", HieraConfig(16, 1, (1, 1, 1, 1), (2,)), 64),
    "sam2.0": Sam2Config("sam2_hiera_tiny", HieraConfig(16, 1, (1, 1, 1, 1), (2,)), 64, version_2_1=False),
    "efficienttam": replace(CONFIGS["efficienttam_ti"].at(64), trunk=VitDetConfig(24, 3, 2, (1,), window=5)),
    "edgetam": replace(CONFIGS["edgetam"].at(256), trunk=RepVitConfig(depths=(1, 1, 1, 1))),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_net_of_the_family_is_taught_with_adapters_and_comes_out_with_its_own_names(family, tmp_path):
    torch.manual_seed(0)
    net = Sam2(replace(FAMILIES[family], memory_layers=1))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recipe = recipe_for(net.config, "lora", 5, frames=2, steps=2, workers=0)
    recipe = replace(recipe, lengths={2: 1.0}, checkpointing=True, pictures=0.0)
    done = finetune(net, "lora", recipe, [ball()], tmp_path)
    after = done.net.state_dict()
    assert sorted(after) == sorted(before)
    assert done.steps == 2
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert {"image_encoder", "sam_mask_decoder", "memory_attention"} <= changed
    assert all(value.isfinite().all() for value in after.values())


def test_pictures_alone_are_not_followed():
    assert recipe_for(SMALL, "full", 30, pictures=True).lengths == {1: 1.0}


def test_what_torch_says_when_memory_runs_out_is_known():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert of_memory(caught.value)
    assert of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert of_memory(MemoryError())
    assert not of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not of_memory(ValueError("out of memory"))


def test_out_of_memory_says_what_to_change():
    net = tiny()
    text = out_of_memory(net, "full", recipe_for(net.config, "full", 1, frames=8))
    assert "8 frames a step; try --frames 4, then --lora, then --decoder-only" in text
    assert "--lora" not in out_of_memory(net, "decoder", recipe_for(net.config, "decoder", 1))


def test_memory_that_runs_out_in_training_ends_with_one_message(monkeypatch, tmp_path):
    """The loop explains it in words of a recipe; a person who fine-tunes has flags."""

    def too_large(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    net = tiny()
    monkeypatch.setattr(net, "encode", too_large)
    recipe = recipe_for(net.config, "full", 1, frames=8, steps=1, workers=0)
    with pytest.raises(TrainingError, match=r"not enough memory .* try --frames 4, then --lora"):
        finetune(net, "full", recipe, [ball()], tmp_path)


def test_the_validation_cases_stay_the_same_when_others_come(tmp_path):
    first, _ = freeze(tmp_path, CASES, HASHES, Asking("click", seed=3))
    more = [*CASES, case("e", "val")]
    again, asking = freeze(tmp_path, more, HASHES | {"scans/e": "x"}, Asking("box"))
    assert [one.id for one in first] == [one.id for one in again] == ["scans/c", "scans/d"]
    assert asking == Asking("click", seed=3)
    written = read_manifest(tmp_path / MANIFEST)
    assert [(one.id, one.split) for one in written] == [("scans/c", "val"), ("scans/d", "val")]


def test_a_validation_case_that_changed_or_went_is_named(tmp_path):
    freeze(tmp_path, CASES, HASHES, Asking())
    with pytest.raises(InputError, match="scans/d has changed"):
        freeze(tmp_path, CASES, HASHES | {"scans/d": "other"}, Asking())
    with pytest.raises(CaseMissingError, match="scans/d, frozen in"):
        freeze(tmp_path, CASES[:3], HASHES, Asking())


def test_nothing_held_out_is_refused(tmp_path):
    with pytest.raises(InputError, match="no case is held out"):
        freeze(tmp_path, CASES[:2], HASHES, Asking())


def test_another_scan_of_a_held_out_patient_is_not_learnt_from():
    cases = [case("a", patient="p1"), case("b", patient="p2"), case("c", "val", patient="p1")]
    assert [one.id for one in learnt_from(cases, cases[2:])] == ["scans/b"]
    with pytest.raises(InputError, match="no case is left to learn from"):
        learnt_from(cases[::2], cases[2:])


def story(**changes) -> Story:
    base = Base("medsam2", "sam2.1_hiera_tiny", "f" * 64, "CC-BY-SA-4.0")
    values = {
        "name": "mine",
        "base": base,
        "way": "lora",
        "image_size": 512,
        "steps": 7,
        "minutes": 2.5,
        "taught": 1234,
    }
    values |= {"trained_on": CASES[:2], "measured_on": CASES[2:], "hashes": HASHES, "asked": "box, seed 0"}
    return Story(**values | changes)


def test_the_card_says_where_it_came_from_and_what_may_be_shared():
    text = card(story(), None)
    for fact in ("made from | medsam2", "CC-BY-SA-4.0", "1,234 values, 7 steps", "| scans | ct | volume | 2 | 2 |"):
        assert fact in text
    assert "The data you trained on decides what you may share" in text
    assert "not stated" in licence(Base("x", "y", "z", ""))


def test_the_data_hash_is_of_contents_and_not_of_order():
    assert data_sha256(CASES, HASHES) == data_sha256(CASES[::-1], HASHES)
    assert data_sha256(CASES, HASHES) != data_sha256(CASES, HASHES | {"scans/a": "other"})
    assert metadata(story(), None)["data_sha256"] == data_sha256(CASES[:2], HASHES)
    assert json.loads(metadata(story(), None)["gate"])["word"] == "not measured"
