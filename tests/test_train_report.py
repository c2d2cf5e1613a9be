"""`voxtrace train`: which cases it sees, what it leaves in its folder, and the report made of that."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from labelled import write_disc, write_rows  # noqa: E402
from voxtrace.checkpoints import check, load  # noqa: E402
from voxtrace.cli import main  # noqa: E402
from voxtrace.errors import CaseMissingError  # noqa: E402
from voxtrace.manifest import Case  # noqa: E402
from voxtrace.report.trained import report  # noqa: E402
from voxtrace.train.ending import licence  # noqa: E402
from voxtrace.train.gathering import load_each, permitted, shipped  # noqa: E402
from voxtrace.train.recipe import Recipe  # noqa: E402

pytestmark = pytest.mark.torch

RECIPE = """
name = "discs"
model = "voxtrace-small"
image_size = 64
steps = 3
frames = 2
workers = 0
pictures = 60
[samples]
volumes = 0.0
synthetic = 0.0
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with recipe.toml and a manifest of three pictures; the mask of the last is cut off."""
    write_rows(tmp_path / "manifest.jsonl", [write_disc(tmp_path, number) for number in range(3)])
    (tmp_path / "2_mask.png").write_bytes((tmp_path / "2_mask.png").read_bytes()[:60])
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def call(place: Path, *more: str, recipe: str = "recipe.toml") -> int:
    return main(["train", str(place / recipe), "--data", str(place), "--out", str(place / "run"), *more])


class Page(HTMLParser):
    """Texts and the addresses that are referred to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_a_users_own_manifest_simply_works_and_a_report_tells_of_it(place, capsys):
    assert call(place) == 0
    assert "run/report.html" in capsys.readouterr().out
    page = Page((place / "run" / "report.html").read_text())
    text = " ".join(page.texts)
    assert "Training of discs" in text
    assert re.search(r"State\s+finished\s+Steps\s+3 in", text)
    assert re.search(r"discs\s+2\s+6\s+100%", text)  # set, cases, clips drawn: 3 steps of 2 pictures
    assert "discs/2: " in text
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert any(address.startswith("data:image/png") for address in page.addresses)
    run = json.loads((place / "run" / "run.json").read_text())
    assert run["finished"]
    assert list(run["left_out"]) == ["discs/2"]


def test_in_the_end_there_are_weights_that_segment_and_say_what_they_are(place, capsys):
    assert call(place, "--quiet", "--json") == 0
    file = Path(json.loads(capsys.readouterr().out)["weights"])
    assert file == place / "run" / "weights.safetensors"
    assert (check(file).loads, check(file).lacks) == (True, ())
    state = torch.load(place / "run" / "state.pt", weights_only=True)
    learnt = load(file)
    assert learnt.config.image_size == 64
    weight = "refiner.stem.0.weight"
    assert torch.equal(learnt.state_dict()[weight], state["average"][weight])
    card = file.with_suffix(".md").read_text()
    assert "- discs (photo, image): 2" in card
    assert "random weights" in card
    assert "How good: not measured yet" in card
    words = ("--model", str(file), "--box", "20,36,51,66", "--out", str(place / "mask.png"), "--quiet")
    assert main(["segment", str(place / "0.png"), *words]) == 0
    with Image.open(place / "mask.png") as mask:
        assert mask.size == (96, 80)


def test_the_refiner_alone_makes_no_weights_file(place, capsys):
    (place / "recipe.toml").write_text(RECIPE.replace("frames = 2", 'frames = 2\nstage = "refiner"'))
    assert call(place) == 0
    assert "state.pt (the refiner alone: `start` of a recipe of stage net)" in capsys.readouterr().out
    assert not (place / "run" / "weights.safetensors").exists()


def test_a_start_hands_on_its_licence():
    assert licence("medsam2").startswith("began with medsam2: ")
    assert "licence not stated" not in licence("medsam2")
    assert licence("") == "the data you trained on decides what you may share"


def test_a_folder_of_something_else_is_not_written_into(place, capsys):
    (place / "run").mkdir()
    (place / "run" / "weights.safetensors").write_text("mine")
    assert call(place) == 2
    assert "holds weights.safetensors, which is not of this training" in capsys.readouterr().err
    assert main(["train", str(place / "recipe.toml"), "--data", str(place), "--out", str(place)]) == 2
    assert "is that of the data; choose another --out" in capsys.readouterr().err
    assert not (place / "state.pt").exists()


def test_copies_and_patients_in_other_splits_are_told_of(place, capsys):
    rows = [json.loads(line) for line in (place / "manifest.jsonl").read_text().splitlines()]
    (place / "copy.png").write_bytes((place / "0.png").read_bytes())
    rows.append(rows[0] | {"id": "discs/copy", "image": "copy.png", "split": "val"})
    rows[1]["patient"] = "p"
    Image.fromarray(np.zeros((80, 96), np.uint8)).save(place / "later.png")
    rows.append(rows[1] | {"id": "discs/later", "image": "later.png", "split": "test", "patient": "p"})
    (place / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert call(place) == 0
    told = capsys.readouterr().err
    assert "warning: 2 case(s) of other splits share an image or a patient with the training" in told
    assert "discs/later with discs/1, discs/copy with discs/0" in told


def test_the_same_command_goes_on_and_another_recipe_is_refused(place, capsys):
    assert call(place, "--quiet") == 0
    (place / "longer.toml").write_text(RECIPE.replace("steps = 3", "steps = 4"))
    assert call(place, "--quiet", recipe="longer.toml") == 0
    assert json.loads((place / "run" / "run.json").read_text())["step"] == 4
    (place / "other.toml").write_text(RECIPE.replace("frames = 2", "frames = 2\nrate = 0.5"))
    assert call(place, "--quiet", recipe="other.toml") == 2
    assert "rate was 0.001 and is 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("frames = 2", "frame = 2"), r"unknown keys frame; known are .*frames"),
        (("frames = 2", "frames = 0"), r"frames is 0; it must be above 0"),
        (("[samples]", "[lengths]\n1 = 0.01\n[samples]"), r"chance of 0\.05 or more"),
    ],
)
def test_a_mistaken_recipe_is_named_without_a_traceback(place, capsys, change, named):
    (place / "recipe.toml").write_text(RECIPE.replace(*change))
    assert call(place) == 2
    told = capsys.readouterr().err
    assert re.search(named, told)
    assert "Traceback" not in told


def test_data_none_of_which_can_be_read_is_named(place, capsys):
    for mask in place.glob("*_mask.png"):
        mask.write_bytes(b"no picture")
    assert call(place) == 2
    assert re.search(r"none of the 3 cases can be read; discs/0: .*voxtrace data index", capsys.readouterr().err)


def test_a_split_without_cases_is_named(place, capsys):
    assert call(place, "--split", "val") == 2
    assert "no case of" in (told := capsys.readouterr().err)
    assert "there are train" in told


def test_without_tensorboard_there_is_one_note_and_all_else(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    assert call(place) == 0
    assert capsys.readouterr().err.count("pip install 'voxtrace[train]'") == 1
    assert (place / "run" / "report.html").exists()


def test_tensorboard_gets_curves_by_kind_of_clip(place):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert call(place, "--quiet") == 0
    events = accumulator.EventAccumulator(str(place / "run" / "tensorboard"))
    events.Reload()
    assert {"loss", "dice", "rate", "loss by clip/clip, 1"} <= set(events.Tags()["scalars"])
    assert [one.step for one in events.Scalars("loss")] == [1, 2, 3]


def test_a_folder_without_a_training_has_no_report(tmp_path):
    with pytest.raises(CaseMissingError, match=r"there is no .*run\.json"):
        report(tmp_path)


# Which cases


def case(number: int, free: bool) -> Case:
    return Case(f"a/{number}", "a", "image", "ct", "i", "m", "semantic", "train", may_train_shipped_weights=free)


@pytest.mark.parametrize(
    ("marked", "ships", "everything", "seen"),
    [
        ((True, False), True, False, [0]),
        ((True, False), True, True, [0, 1]),
        ((True, False), False, False, [0, 1]),
        ((False, False), True, False, [0, 1]),
    ],
    ids=["given away", "asked for all", "not given away", "a user's own"],
)
def test_only_weights_that_are_given_away_leave_cases_out(marked, ships, everything, seen):
    cases = [case(number, free) for number, free in enumerate(marked)]
    found, _ = permitted(cases, Recipe("r", "voxtrace-small", ships=ships), everything)
    assert [one.id for one in found] == [f"a/{number}" for number in seen]


def test_what_a_recipe_is_to_be_without_is_never_seen():
    cases = [case(number, True) for number in range(3)]
    for ships in (True, False):
        recipe = Recipe("r", "voxtrace-small", ships=ships, without=["a/1"])
        assert [one.id for one in permitted(cases, recipe)[0]] == ["a/0", "a/2"]
        assert [one.id for one in shipped(cases, recipe)] == ["a/0", "a/2"]


def test_what_cannot_be_read_is_named_and_counted(place, caplog):
    from voxtrace.manifest import read_manifest

    loaded, left_out = load_each(read_manifest(place / "manifest.jsonl"))
    assert [one.id for one in loaded] == ["discs/0", "discs/1"]
    assert list(left_out) == ["discs/2"]
    assert caplog.text.count("discs/2 is left out") == 1
