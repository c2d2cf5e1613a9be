"""`voxtrace info`, `doctor` and `weights`."""

import json

import numpy as np
import pytest

from command_line import write_mask, write_picture, write_scan
from phantoms import labels, phantom
from voxtrace import checkpoints
from voxtrace.cli import doctor
from voxtrace.cli.info import direction
from voxtrace.engines import choosing
from voxtrace.io import write


def test_info_of_a_scan_names_geometry_values_and_window(voxtrace, tmp_path):
    facts = voxtrace("info", write_scan(tmp_path / "ct.nii.gz"), "--json").json
    assert (facts["kind"], facts["shape_zyx"], facts["spacing_mm"]) == ("volume", [12, 30, 35], [3, 1, 2])
    assert facts["orientation"] == "z to head, y to back, x to left"
    assert facts["window"] == "40/400"
    assert "labels" not in facts


def test_info_of_a_mask_names_its_labels(voxtrace, tmp_path):
    volume = phantom()
    write(tmp_path / "m.seg.nrrd", labels(), like=volume, labels={1: "lesion", 2: "block"})
    facts = voxtrace("info", tmp_path / "m.seg.nrrd", "--json").json
    assert facts["labels"] == {"1 lesion": int((labels() == 1).sum()), "2 block": int((labels() == 2).sum())}
    text = voxtrace("info", write_mask(tmp_path / "m.nii.gz", labels() > 0)).out
    assert f"1: {int((labels() > 0).sum())} voxels" in text


def test_info_of_pictures_and_videos(voxtrace, tmp_path):
    (tmp_path / "frames").mkdir()
    picture = write_picture(tmp_path / "frames" / "a.png")
    write_picture(tmp_path / "frames" / "b.png")
    assert voxtrace("info", picture, "--json").json["channels"] == 3
    facts = voxtrace("info", tmp_path / "frames", "--json").json
    assert (facts["kind"], facts["frames"], facts["shape_yx"]) == ("video", 2, [40, 50])


def test_info_of_a_missing_file(voxtrace, tmp_path):
    ran = voxtrace("info", tmp_path / "no.nii")
    assert ran.code == 2
    assert "no.nii does not exist" in ran.err


def test_directions_are_named_and_tilts_measured():
    assert direction(np.array([0.0, 0.0, 2.0])) == "head"
    assert direction(np.array([-1.0, 0.0, 0.0])) == "right"
    assert direction(np.array([0.0, 1.0, 1.0]) * [0, np.cos(0.2), -np.sin(0.2)]) == "back (11 degrees off)"


def test_doctor_finds_the_packages_and_says_what_is_missing(voxtrace, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", {"numpy": ("everything", ""), "no-such-package": ("MetaImage", "mha")})
    monkeypatch.setattr(doctor, "_torch", list)
    found = {item["what"]: item for item in voxtrace("doctor", "--json").json["found"]}
    assert found["numpy"]["value"] == np.__version__
    assert found["no-such-package"]["fix"] == "pip install 'voxtrace[mha]'"
    assert {"python", "cpu", "cache", "free disk"} <= set(found)


def test_doctor_fails_where_nothing_runs_a_model(voxtrace, monkeypatch):
    monkeypatch.setattr(doctor, "_torch", list)
    monkeypatch.setattr(choosing, "installed", lambda package: False)
    ran = voxtrace("doctor")
    assert ran.code == 2
    assert "!!  engine" in ran.out
    assert "pip install 'voxtrace[" in ran.out


def test_doctor_says_what_runs_a_model_and_why(voxtrace, monkeypatch):
    monkeypatch.setattr(doctor, "_torch", list)
    monkeypatch.setattr(choosing, "installed", lambda package: package == "torch")
    ran = voxtrace("doctor")
    assert ran.code == 0
    assert "engine         torch: " in ran.out
    monkeypatch.setattr(doctor, "PACKAGES", {"no-such-package": ("everything", "")})
    assert voxtrace("doctor").code == 2, "what voxtrace itself needs is missing"


def test_doctor_counts_threads_and_tells_a_count_that_is_none(voxtrace, monkeypatch):
    monkeypatch.setattr(doctor, "_torch", list)
    monkeypatch.setattr(choosing, "installed", lambda package: package == "openvino")
    monkeypatch.setenv("VOXTRACE_THREADS", "3")
    assert "; 3 threads" in voxtrace("doctor").out
    monkeypatch.setenv("VOXTRACE_THREADS", "many")
    ran = voxtrace("doctor")
    assert ran.code == 2
    assert "VOXTRACE_THREADS=many" in ran.out


def test_doctor_notices_damaged_weights(voxtrace, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "PACKAGES", {})
    monkeypatch.setattr(doctor, "_torch", list)
    path = checkpoints.find("medsam2").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cut off")
    said = voxtrace("doctor").out
    assert "medsam2" in said
    assert "is damaged" in said
    assert "voxtrace weights pull medsam2" in said


def test_weights_list_shows_every_model(voxtrace):
    said = voxtrace("weights", "list").out
    assert all(name in said for name in checkpoints.registry())
    assert {row["name"] for row in voxtrace("weights", "list", "--json").json["models"]} == set(checkpoints.registry())


def test_weights_pull_prints_the_path_of_what_is_there(voxtrace, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    path = checkpoints.find("medsam2-flare25").path  # its hash is not registered: any file is taken for it
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    ran = voxtrace("weights", "pull", "medsam2-flare25")
    assert ran.code == 0, ran.err
    assert ran.out.strip() == str(path)
    assert "CC-BY-SA-4.0" in ran.err


def test_unknown_weights_name_the_near_ones(voxtrace):
    ran = voxtrace("weights", "pull", "medsam-2")
    assert ran.code == 2
    assert "did you mean" in ran.err


@pytest.mark.torch
def test_weights_check_tells_what_a_file_is(voxtrace, tmp_path):
    from hollow import hollow_state, written

    path = written(tmp_path / "mine.pt", {"model": hollow_state("sam2.1_hiera_tiny")})
    ran = voxtrace("weights", "check", path)
    assert ran.code == 0, ran.err
    assert "sam2.1_hiera_tiny" in ran.out
    assert "yes, every key fits" in ran.out
    json.dumps(voxtrace("weights", "check", path, "--json").json)


def test_weights_check_of_something_else_is_a_mistake(voxtrace, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"hello")
    ran = voxtrace("weights", "check", tmp_path / "x.pt")
    assert ran.code == 2
    assert "Traceback" not in ran.err
