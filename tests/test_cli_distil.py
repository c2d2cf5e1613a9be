"""`voxtrace distil` as a shell calls it: from teacher, config and manifest to a checkpoint; mistakes told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from test_train_distil import STUDENT, TEACHER
from voxtrace import checkpoints
from voxtrace.checkpoints.nets import to_json
from voxtrace.checkpoints.saving import save
from voxtrace.model.sam2 import Sam2

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

RECIPE = """
workers = 0
views = 4
[features]
frames = 2
steps = 3
[masks]
frames = 2
steps = 2
[clips]
frames = 2
steps = 1
[lengths]
2 = 1.0
"""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A teacher's weights, a student's config, a recipe of a few steps."""
    torch.manual_seed(0)
    save(tmp_path / "teacher.safetensors", Sam2(TEACHER), TEACHER, {"licence": "Apache-2.0"})
    (tmp_path / "student.json").write_text(to_json(STUDENT))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "teacher.safetensors", tmp_path / "student.json", tmp_path / "recipe.toml"


def test_a_student_comes_of_a_file_a_config_and_a_manifest_and_goes_on_when_called_again(
    voxtrace, manifest, pair, tmp_path
):
    teacher, student, recipe = pair
    words = ("distil", "--teacher", teacher, "--student", student, "--data", manifest, "--split", "val")
    words += ("--out", tmp_path / "out", "--recipe", recipe, "--device", "cpu", "--json")
    ran = voxtrace(*words)
    assert ran.code == 0, ran.err
    assert ran.json["steps"] == {"features": 3, "masks": 2, "clips": 1}
    made = Path(ran.json["student"])
    assert checkpoints.load(made).config == STUDENT
    assert list((tmp_path / "out" / "embeddings").rglob("*.safetensors"))
    before = checkpoints.load(made).state_dict()
    assert voxtrace(*words).code == 0
    after = checkpoints.load(made).state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"--teacher": "medsam3"}, "no model is called 'medsam3'; did you mean"),
        ({"--teacher": "sam2.1-large"}, "voxtrace weights pull sam2.1_hiera_large"),
        ({"--student": "tiny"}, "no student 'tiny': give the name of a net"),
        ({"--student": "lost.json"}, "there is no config at lost.json"),
        ({"--student-size": "50"}, "multiple of 32"),
        ({"--minutes": "0"}, "--minutes is 0"),
        ({"--frames": "0"}, "--frames is 0"),
        ({"--cache-gb": "-1"}, "--cache-gb is -1; 0 or more"),
        ({"--split": "test"}, "no case of split 'test'"),
        ({"--recipe": "lost.toml"}, "no recipe at lost.toml"),
        ({"--device": "tpu9"}, "unknown device"),
    ],
)
def test_mistakes_are_told_with_the_way_out(fails, manifest, pair, tmp_path, monkeypatch, changed, message):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path / "home"))
    teacher, student, recipe = pair
    given = {"--teacher": teacher, "--student": student, "--data": manifest, "--split": "val", "--recipe": recipe}
    given |= {"--out": tmp_path / "out"} | changed
    assert message in fails("distil", *(word for pair in given.items() for word in pair))
