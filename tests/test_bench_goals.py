"""The tasks of the training beside their goals: every one measured, the vessels left out, what is missing said."""

import csv
import json

import pytest

from labelled import write_cases
from test_evaluate_net import run, write_net
from voxtrace.bench.goals import _line, table

pytestmark = pytest.mark.torch


def test_every_task_that_the_data_have_is_measured_and_the_others_are_named(tmp_path, capsys):
    data, net = write_cases(tmp_path / "data"), write_net(tmp_path / "tiny.safetensors")
    vessels = json.loads(data.read_text().splitlines()[0])
    vessels |= {"id": "fundus__drive_vessels/0", "set": "fundus__drive_vessels"}
    data.write_text(data.read_text() + json.dumps(vessels) + "\n")
    assert run("bench", "goals", "--data", data, "--model", net, "--out", tmp_path / "out", "--quiet") == 0
    lines = json.loads((tmp_path / "out" / "goals.json").read_text())["figures"]
    assert len(lines) == 11
    missing = [line["task"] for line in lines if line["figure"] is None]
    assert len(missing) == 3
    assert all("picture" in task for task in missing)  # the white blood cells
    assert {line["reached"] for line in lines if line["goal"] and line["figure"]} == {False}
    with (tmp_path / "out" / "clicks" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    blobs = [float(row["dsc"]) for row in rows if row["set"] == "pictures"]
    assert len(blobs) < len(rows)
    (clicked,) = [line for line in lines if "one click" in line["task"]]
    assert clicked["figure"]["mean"] == pytest.approx(sum(blobs) / len(blobs), abs=1e-4)
    assert "not measured" in capsys.readouterr().out


def test_a_goal_is_reached_by_the_mean():
    class Measured:
        contender, set, case, patient, modality, kind, status = (
            ("m", "box", False),
            "s",
            "c",
            "p",
            "ct",
            "image",
            "done",
        )
        dsc = 0.9

    assert _line("boxes", "dsc", 0.9, [Measured()], 0)["reached"] is True
    assert _line("boxes", "dsc", 0.91, [Measured()], 0)["reached"] is False
    line = _line("boxes", "dsc", None, [Measured()], 0)
    assert "| boxes | DSC | 0.900 (0.900–0.900) |  |  |" in table([line])
