"""`voxtrace finetune` from cases on disk to a file that the other commands take."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from voxtrace.checkpoints import check, load, save  # noqa: E402
from voxtrace.cli import main  # noqa: E402
from voxtrace.model.config import CONFIGS, ResNetConfig  # noqa: E402
from voxtrace.model.sam2 import Sam2  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.real]

FAST = ("--workers", "0", "--minutes", "3", "--frames", "2", "--quiet")


@pytest.fixture(scope="module")
def net(tmp_path_factory) -> Path:
    """A small net of random weights."""
    torch.manual_seed(0)
    config = replace(CONFIGS["voxtrace-small"].at(64), trunk=ResNetConfig(depths=(1, 1, 1, 1)), mirrored=False)
    path = tmp_path_factory.mktemp("net") / "tiny.safetensors"
    save(path, Sam2(config), config, {"licence": "MIT"})
    return path


@pytest.fixture
def data(tmp_path) -> Path:
    """Volumes of two patients to learn from and two held out: a bright ball on dark noise."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    z, y, x = np.mgrid[:6, :26, :30]
    for number in range(4):
        ball = (2 * (z - 3)) ** 2 + (y - 12 - number) ** 2 + (x - 15) ** 2 < 49
        grey = np.random.default_rng(number).normal(100, 5, ball.shape) + 80 * ball
        for name, array in (("", grey.astype(np.int16)), ("_mask", ball.astype(np.uint8))):
            nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), folder / f"{number}{name}.nii.gz")
        row = {"id": f"balls/{number}", "set": "balls", "kind": "volume", "modality": "mri", "patient": str(number)}
        row |= {"image": f"{number}.nii.gz", "mask": f"{number}_mask.nii.gz", "label_type": "semantic"}
        rows.append(json.dumps(row | {"split": "train" if number < 2 else "val"}))
    (folder / "manifest.jsonl").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def nnunet(data, tmp_path) -> Path:
    """The same volumes as an nnU-Net raw folder, which says nothing of a split."""
    folder = tmp_path / "Dataset007_Balls"
    for name, ending, source in (("imagesTr", "_0000", ""), ("labelsTr", "", "_mask")):
        (folder / name).mkdir(parents=True)
        for number in range(4):
            shutil.copy(data / f"{number}{source}.nii.gz", folder / name / f"ball_{number:03d}{ending}.nii.gz")
    facts = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "ball": 1}, "numTraining": 4}
    (folder / "dataset.json").write_text(json.dumps(facts | {"file_ending": ".nii.gz"}))
    return folder


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Pictures of bright discs: three to learn from and six held out; and of dark ones, in a set of their own."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    y, x = np.mgrid[:48, :56]
    for name, number, split in [("discs", n, "train" if n < 3 else "val") for n in range(9)] + [("dark", 9, "val")]:
        disc = (y - 20 - number) ** 2 + (x - 26) ** 2 < 100
        grey = np.random.default_rng(number).normal(90, 6, disc.shape) + (80 if name == "discs" else -60) * disc
        Image.fromarray(grey.astype(np.uint8)).save(folder / f"{number}.png")
        Image.fromarray(disc.astype(np.uint8)).save(folder / f"{number}_mask.png")
        row = {"id": f"{name}/{number}", "set": name, "kind": "image", "modality": "photo", "patient": str(number)}
        row |= {"image": f"{number}.png", "mask": f"{number}_mask.png", "label_type": "semantic", "split": split}
        rows.append(json.dumps(row))
    (folder / "manifest.jsonl").write_text("\n".join(rows) + "\n")
    return folder


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_the_result_is_a_file_that_segments_and_says_what_it_is(net, data, tmp_path, capsys):
    out = tmp_path / "mine.safetensors"
    words = ("finetune", "--data", data, "--model", net, "--lora", "--steps", "20", "--out", out, *FAST)
    assert run(*words, "--json") == 4  # two patients held out can show nothing
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 20
    assert told["gate"]["word"] == "not shown to be better"
    assert check(out).loads is True
    assert check(out).lacks == ()
    assert load(out).config == load(net).config
    assert not torch.equal(load(out).refiner.stem[0].weight, load(net).refiner.stem[0].weight)
    card = out.with_suffix(".md").read_text()
    assert "With fewer than 5 patients held out nothing can be shown" in card
    assert "made from | tiny" in card
    mask = tmp_path / "mask.nii.gz"
    words = ("segment", data / "2.nii.gz", "--model", out, "--box", "3:7,8,21,22", "--out", mask, "--quiet")
    assert run(*words) == 0
    assert nibabel.load(mask).shape == (30, 26, 6)


def test_a_result_that_is_better_ends_with_0_and_other_sets_are_watched(net, pictures, tmp_path, capsys):
    out = tmp_path / "discs.safetensors"
    words = ("finetune", "--data", pictures, "--model", net, "--steps", "25", "--against", "dark", "--out", out, *FAST)
    assert run(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["gate"]["word"] == "better"
    assert told["gate"]["difference"]["low"] > 0
    assert told["gate"]["difference"]["n"] == 6
    assert told["against"]["difference"]["n"] == 1
    card = out.with_suffix(".md").read_text()
    assert "| against its base | better |" in card
    assert "| discs | photo | image | 3 | 6 |" in card
    assert "**On other sets:**" in card
    figures = json.loads((tmp_path / "discs-run" / "gate.json").read_text())
    assert figures["gate"]["difference"]["low"] == pytest.approx(told["gate"]["difference"]["low"], abs=1e-6)


def test_a_finished_run_is_not_trained_again_and_another_is_refused(net, data, tmp_path, capsys):
    words = ("finetune", "--data", data, "--model", net, "--out", tmp_path / "out", *FAST)
    assert run(*words, "--decoder-only", "--steps", "2") == 4
    lines = (tmp_path / "out" / "tiny-tuned-run" / "training" / "log.csv").read_text()
    assert run(*words, "--decoder-only", "--steps", "2") == 4
    assert (tmp_path / "out" / "tiny-tuned-run" / "training" / "log.csv").read_text() == lines
    frozen = json.loads((tmp_path / "out" / "tiny-tuned-run" / "validation.json").read_text())
    assert list(frozen["cases"]) == ["balls/2", "balls/3"]
    capsys.readouterr()
    assert run(*words, "--full", "--steps", "2") == 2
    assert "was begun with another way (decoder, now full)" in capsys.readouterr().err


def test_an_nnunet_folder_is_split_by_patient_and_decoder_only_leaves_the_trunk(net, nnunet, tmp_path):
    words = ("finetune", "--data", nnunet, "--model", net, "--decoder-only", "--steps", "2", *FAST)
    assert run(*words, "--out", tmp_path / "d.safetensors") == 4
    assert len(json.loads((tmp_path / "d-run" / "validation.json").read_text())["cases"]) == 1
    assert len(json.loads((tmp_path / "d-run" / "finetune.json").read_text())["cases"]) == 3
    before, after = load(net).state_dict(), load(tmp_path / "d.safetensors").state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert {"refiner"} <= changed <= {"sam_mask_decoder", "refiner", "hint_scale", "decoder_scale"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lora", "--full"), "exclude one another"),
        (("--minutes", "0"), "--minutes 0 trains nothing"),
        (("--rate", "inf"), "--rate inf has no end"),
        (("--out", "mine.pt"), "mine.pt cannot be a .pt file; name it .safetensors"),
        (("--cases", "0"), "leaves nothing to learn from"),
        (("--sets", "cubes"), "cubes"),
        (("--lora", "--rank", "0"), "rank 0 hold nothing"),
        (("--prompt", "shout"), "prompt 'shout' is unknown"),
        (("--objects", "0"), "leaves nothing to measure"),
        (("--model", "medsam3"), "no model is called"),
        (("--against", "cubes"), "cubes"),
        (("--sets", "balls", "--against", "balls"), "must be another one"),
    ],
)
def test_a_mistake_is_told_in_a_line(net, data, tmp_path, capsys, words, message):
    words = ("finetune", "--data", data, "--out", tmp_path / "out", "--model", net, *words)
    assert run(*words) == 2
    found = capsys.readouterr().err
    assert message in found
    assert "Traceback" not in found


def test_a_held_out_copy_of_a_learnt_case_is_refused_before_anything_is_taught(net, data, tmp_path, capsys):
    shutil.copy(data / "0.nii.gz", data / "2.nii.gz")
    assert run("finetune", "--data", data, "--model", net, "--out", tmp_path / "out", *FAST) == 2
    told = capsys.readouterr().err
    assert "1 held-out case(s) share an image with one to learn from" in told
    assert "balls/2 with balls/0" in told
    assert not (tmp_path / "out").exists()


def test_a_net_of_single_images_is_refused(data, tmp_path, capsys):
    from voxtrace.checkpoints.nets import build, net_config

    torch.save(build(net_config("litemedsam")).state_dict(), tmp_path / "lite.pt")
    assert run("finetune", "--data", data, "--model", tmp_path / "lite.pt", "--out", tmp_path / "o") == 2
    assert "is a SAM 1 net" in capsys.readouterr().err
