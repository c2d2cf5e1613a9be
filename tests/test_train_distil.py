"""Distillation of tiny nets with random weights: what the student learns, keeps, inherits and becomes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seeded import randn
from voxtrace import checkpoints
from voxtrace.checkpoints.saving import save
from voxtrace.errors import InputError, ModelError, OutputError, TrainingError
from voxtrace.model.config import CONFIGS, Fpn, Sam2Config
from voxtrace.model.resnet import ResNetConfig
from voxtrace.model.sam1 import Sam1, Sam1Config
from voxtrace.model.sam2 import Sam2
from voxtrace.model.tinyvit import TinyVitConfig
from voxtrace.train.cases import LabelledObject, LoadedCase
from voxtrace.train.distilling import distil
from voxtrace.train.distilling.embeddings import Embeddings
from voxtrace.train.distilling.features import FeatureLoss, Lesson, channels, missed
from voxtrace.train.distilling.inheriting import inherit
from voxtrace.train.distilling.masks import boxes_of
from voxtrace.train.distilling.matching import Matching
from voxtrace.train.distilling.nets import Teacher, notes, open_student, open_teacher
from voxtrace.train.distilling.plan import Plan, Stage, read_plan
from voxtrace.train.distilling.seeing import shown
from voxtrace.train.distilling.stages import Windows, enough_memory
from voxtrace.train.distilling.whole import samples

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

TEACHER = Sam2Config(
    "tiny-teacher",
    ResNetConfig((8, 16, 24, 32), (1, 1, 2, 1)),
    image_size=64,
    neck=Fpn(top_down=(0, 1, 2, 3)),
    dim=32,
    memory_dim=16,
    memory_layers=1,
    mlp_dim=32,
    iou_hidden=16,
)
STUDENT = replace(TEACHER, name="tiny-student", trunk=ResNetConfig((8, 8, 16, 16), (1, 1, 1, 1)))
NONE = Stage(minutes=0.0, rate=1e-3)
PLAN = Plan(features=NONE, masks=NONE, clips=NONE, workers=0, average=0.9, views=0)


def discs(count: int = 6) -> list[LoadedCase]:
    """Pictures of a bright disc on a slope with some noise."""
    y, x = np.mgrid[:72, :80]
    cases = []
    for number in range(count):
        rng = np.random.default_rng(number)
        disc = (y - rng.uniform(25, 45)) ** 2 + (x - rng.uniform(25, 55)) ** 2 < rng.uniform(9, 18) ** 2
        grey = 40 + x * rng.uniform(0, 1) + disc * rng.uniform(50, 100) + rng.normal(0, 6, disc.shape)
        target = LabelledObject((0, 0, 0), disc[None], "whole", 1)
        frames = grey.clip(0, 255).astype(np.uint8)[None]
        cases.append(LoadedCase(f"discs/{number}", "discs", "image", "photo", frames, {"whole": [target]}, (0,)))
    return cases


def teacher(config: Sam2Config | Sam1Config = TEACHER, seed: int = 1) -> Teacher:
    torch.manual_seed(seed)
    net = Sam1(config) if isinstance(config, Sam1Config) else Sam2(config)
    with torch.no_grad():  # batch norms as of a net that has seen pictures
        for number in range(20):
            net.train().encode(randn(4, 3, config.image_size, config.image_size, seed=number).cumsum(-1) / 4)
    return Teacher(net.eval().requires_grad_(False), config.name, f"hash-{seed}", "CC-BY-SA-4.0")


def student(config: Sam2Config | Sam1Config = STUDENT, seed: int = 2) -> Sam2 | Sam1:
    torch.manual_seed(seed)
    return Sam1(config) if isinstance(config, Sam1Config) else Sam2(config)


def test_the_students_embedding_comes_near_the_teachers(tmp_path):
    plan = replace(PLAN, features=Stage(minutes=5, rate=5e-3, steps=90))
    made = distil(teacher(), student(), discs(), tmp_path, plan)
    before, after = made.missed
    assert after < before / 3
    assert after < 0.8  # 1 is what each channel's mean alone would reach


def test_a_student_of_another_width_and_image_size_learns_too(tmp_path):
    small = replace(STUDENT, dim=16, image_size=32)
    made = distil(teacher(), student(small), discs(), tmp_path, replace(PLAN, features=Stage(5, 5e-3, steps=60)))
    assert made.missed[1] < made.missed[0] / 3
    assert made.taken == ()
    assert any("64 px" in note and "32 px" in note for note in made.notes)
    assert any("32 channels" in note and "16" in note for note in made.notes)


def test_the_result_is_an_ordinary_checkpoint_with_config_card_and_the_teachers_licence(tmp_path):
    plan = replace(PLAN, masks=Stage(5, 1e-3, 2, steps=2), clips=Stage(5, 1e-3, 4, steps=2), lengths={2: 1.0})
    made = distil(teacher(), student(), discs(), tmp_path, plan)
    assert made.steps == {"features": 0, "masks": 2, "clips": 2}
    net = checkpoints.load(made.path)  # strictly
    assert net.config == STUDENT
    report = checkpoints.check(made.path)
    assert report.loads
    assert not report.lacks
    metadata = checkpoints.reader.read_header(made.path).metadata
    assert metadata["licence"] == "CC-BY-SA-4.0"
    assert "hash-1" in metadata["card"]
    assert "discs (photo): 6" in metadata["card"]


def test_masks_are_learned_from_the_truth_and_from_the_teacher(tmp_path):
    plan = replace(PLAN, masks=Stage(5, 3e-3, 8, steps=30), average=0.5)
    plan = replace(plan, losses=replace(plan.losses, focal=0.0, cross_entropy=3.0))
    distil(teacher(), student(), discs(), tmp_path, plan)
    rows = [json.loads(line) for line in (tmp_path / "masks" / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 30
    dices = [row["parts"]["dice"] for row in rows]
    assert np.mean(dices[-5:]) > np.mean(dices[:5]) + 0.2
    assert "teacher_dice" in rows[0]["parts"]


def test_nets_of_single_images_learn_from_each_other_and_have_no_clips(tmp_path):
    large = Sam1Config("large", TinyVitConfig(32, (8, 8, 16, 16), (1, 1, 1, 1), (2, 2, 2, 2)), mlp_dim=32, dim=32)
    small = replace(large, name="small", encoder=replace(large.encoder, widths=(8, 8, 8, 16)))
    plan = replace(PLAN, features=Stage(5, 5e-3, 4, steps=30), masks=Stage(5, 1e-3, 2, steps=2))
    made = distil(teacher(large), student(small), discs(), tmp_path, plan)
    assert made.missed[1] < made.missed[0] / 2
    assert set(made.steps) == {"features", "masks"}
    assert isinstance(checkpoints.load(made.path), Sam1)


def test_a_net_with_memory_learns_from_one_of_single_images(tmp_path):
    large = Sam1Config("large", TinyVitConfig(32, (8, 8, 16, 16), (1, 1, 1, 1), (2, 2, 2, 2)), mlp_dim=32, dim=32)
    made = distil(teacher(large), student(), discs(), tmp_path, replace(PLAN, features=Stage(5, 5e-3, 4, steps=30)))
    assert made.missed[1] < made.missed[0]
    assert "sam_prompt_encoder.point_embeddings" in made.taken
    assert "memory_encoder.fuser" in made.left


def test_a_stopped_distillation_goes_on_to_the_same_bits(tmp_path):
    plan = replace(PLAN, features=Stage(60, 1e-3, 2, steps=4), masks=Stage(60, 1e-3, 2, steps=3))
    whole = distil(teacher(), student(), discs(), tmp_path / "whole", plan)

    class KilledError(Exception):
        pass

    def kill(step):
        if (step.way, step.step) == ("masks", 2):
            raise KilledError

    with pytest.raises(KilledError):
        distil(teacher(), student(), discs(), tmp_path / "parts", plan, tell=kill)
    again = distil(teacher(), student(), discs(), tmp_path / "parts", plan)
    one, other = (checkpoints.load(made.path).state_dict() for made in (whole, again))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert again.steps == whole.steps == {"features": 4, "masks": 3}
    assert len((tmp_path / "parts" / "masks" / "log.jsonl").read_text().splitlines()) == 3


def test_a_folder_of_another_distillation_is_refused(tmp_path):
    distil(teacher(), student(), discs(), tmp_path, PLAN)
    with pytest.raises(OutputError, match="another teacher; give another --out"):
        distil(teacher(seed=5), student(), discs(), tmp_path, PLAN)
    other = Teacher(teacher().net, "t", "another-hash", "")
    with pytest.raises(OutputError, match="another teacher"):
        distil(other, student(), discs(), tmp_path, PLAN)


def test_kept_embeddings_are_the_teachers_to_half_precision(tmp_path):
    kept = Embeddings(tmp_path, "one", 10**9)
    window, maps = torch.randint(0, 255, (3, 16, 16), dtype=torch.uint8), (randn(1, 4, 2, 2), randn(1, 2, 8, 8, seed=1))
    assert kept.get(window) is None
    kept.put(window, maps)
    found = kept.get(window)
    assert found is not None
    assert all(torch.equal(a.float(), b.half().float()) for a, b in zip(found, maps, strict=True))
    other = window.clone()
    other[1, 3, 3] ^= 1
    assert kept.get(other) is None
    assert Embeddings(tmp_path, "another", 10**9).get(window) is None


def test_a_damaged_embedding_is_made_again_and_a_full_folder_keeps_no_more(tmp_path):
    kept = Embeddings(tmp_path, "one", 100)
    first, second = torch.zeros(3, 8, 8, dtype=torch.uint8), torch.ones(3, 8, 8, dtype=torch.uint8)
    kept.put(first, (randn(1, 4, 3, 3),))
    kept.put(second, (randn(1, 4, 3, 3),))  # 144 bytes with the first
    assert kept.get(second) is None
    (file,) = kept.folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-5])
    assert kept.get(first) is None
    (kept.folder / "left.part").write_bytes(b"of a killed run")
    Embeddings(tmp_path, "one", 100)
    assert not list(kept.folder.glob("*.part"))


def test_windows_that_come_again_are_not_encoded_again_and_teach_the_same(tmp_path):
    plan = replace(PLAN, views=8, features=Stage(0.5, 1e-3, 4))
    large, small = teacher(), student()
    lesson = Lesson(small, Matching([32, 4, 8], [32, 4, 8], 0.5, "mse"))
    kept = Embeddings(tmp_path, large.identity, 10**9)
    loss = FeatureLoss(lesson.eval(), large, kept)
    windows = Windows(discs(), samples(plan, large, small), plan, 4).after(0)
    batches = [next(windows) for _ in range(4)]
    losses = [float(loss(batch.images[:, 0], batch.masks[:, 0], 0)[0].detach()) for batch in batches]
    assert (kept.made, kept.found) == (8, 8)
    assert losses[2:] == pytest.approx(losses[:2], rel=1e-3)


def test_missed_is_nothing_for_a_twin_and_one_for_each_channels_mean():
    large = teacher()
    plan = replace(PLAN, features=Stage(0.5, 1e-3, 4))
    windows = Windows(discs(), samples(plan, large, large.net), plan, 4)
    twin = Lesson(large.net, Matching([32, 4, 8], [32, 4, 8], 0.5, "smooth_l1"))
    assert missed(FeatureLoss(twin, large), windows.held_out(1), torch.device("cpu")) == pytest.approx(0, abs=1e-9)
    goal = randn(5, 3, 4, 4) + torch.tensor([10.0, -5.0, 0.0])[:, None, None]
    mean = goal.mean((0, 2, 3), keepdim=True).expand_as(goal)
    assert float(Matching([3], [3], 0, "mse")([mean], [goal])[1]) == pytest.approx(1, abs=1e-5)


def test_inherited_parts_are_whole_and_the_image_encoder_is_the_students_own():
    large, small = teacher().net, student()
    encoder = {name: value.clone() for name, value in small.image_encoder.state_dict().items()}
    found = inherit(small, large)
    assert found.left == ()
    own, given = small.state_dict(), large.state_dict()
    assert all(torch.equal(own[name], given[name]) for name in own if not name.startswith("image_encoder"))
    assert all(torch.equal(value, encoder[name]) for name, value in small.image_encoder.state_dict().items())


def test_a_window_is_shown_to_each_kind_of_net_as_its_engine_shows_it():
    window = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    image = shown(TEACHER, window)
    assert image[0, 0, 5, 9] == pytest.approx((float(window[0, 0, 5, 9]) / 255 - 0.485) / 0.229, abs=1e-5)
    lite = shown(Sam1Config("lite", TinyVitConfig(32), keep_aspect=True), window)
    assert lite.shape == (1, 3, 32, 32)
    assert (lite.min(), lite.max()) == (0, 1)


def test_boxes_are_shares_of_the_side_in_rows_then_columns():
    truth = torch.zeros(1, 40, 40)
    truth[0, 4:10, 20:36] = 1
    assert boxes_of(truth, 0.0, np.random.default_rng(0))[0].tolist() == pytest.approx([0.1, 0.5, 0.25, 0.9])


def test_notes_name_a_student_larger_than_its_teacher():
    assert any("larger than its teacher" in note for note in notes(student(), teacher().net))
    assert notes(teacher().net, student()) == []


def test_student_and_teacher_are_opened_by_name_config_or_file(tmp_path):
    net = student()
    save(tmp_path / "own.safetensors", net, STUDENT, {"licence": "MIT"})
    opened = open_teacher(str(tmp_path / "own.safetensors"))
    assert (opened.licence, opened.config) == ("MIT", STUDENT)
    assert not any(weight.requires_grad for weight in opened.net.parameters())
    (tmp_path / "own.json").write_text(checkpoints.nets.to_json(STUDENT))
    one, other = (open_student(str(tmp_path / "own.json"), 32, seed=3) for _ in range(2))
    assert one.config == STUDENT.at(32)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert open_student("voxtrace-small", 64, seed=0).config == CONFIGS["voxtrace-small"].at(64)
    with pytest.raises(ModelError, match="no student 'efficientam'"):
        open_student("efficientam", None, 0)
    with pytest.raises(ModelError, match="multiple of 32"):
        open_student("efficienttam_ti", 100, 0)


def test_maps_of_a_net_have_the_widths_that_are_matched():
    assert channels(teacher().net, torch.zeros(1, 3, 64, 64)) == [32, 4, 8]


def test_too_little_memory_says_what_to_change():
    with pytest.raises(TrainingError, match=r"--frames 4.*--student-size"), enough_memory(8):
        torch.empty(2**60)
    with pytest.raises(RuntimeError, match="shape"), enough_memory(8):
        torch.zeros(2) @ torch.zeros(3, 3)


def test_recipes_are_read_and_their_faults_named(tmp_path: Path):
    for file in (Path(__file__).resolve().parents[1] / "recipes").glob("distil-*.toml"):
        assert read_plan(file).features.minutes > 0
    file = tmp_path / "r.toml"
    file.write_text("loss = 'smooth_l1'\n[features]\nsteps = 7\n")
    plan = read_plan(file)
    assert (plan.features.steps, plan.features.rate) == (7, Plan().features.rate)
    assert plan.lasting(12).features.minutes == pytest.approx(6)
    for text, message in (("loss = 'l3'", "'l3' is unknown"), ("speed = 1", "unknown keys speed"), ("=", "not a TOML")):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            read_plan(file)


def test_windows_show_one_object_whatever_the_recipes_clips_follow():
    several = replace(samples(PLAN, teacher(), Sam2(STUDENT)), objects=3)
    batch = next(Windows(discs(), several, PLAN, 2).after(0))
    assert batch.masks.shape == (2, 1, 64, 64)
