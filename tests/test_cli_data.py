"""`voxtrace data index` and `check`: what is written, what is told, and how a mistake ends."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from layouts_kit import SHAPE, write_bids, write_nnunet, write_npz, write_pair, write_pictures
from phantoms import labels
from voxtrace.manifest import read_manifest

NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_nnunet(tmp_path / "set", NAMES)


def contents(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def make_empty(folder: Path, name: str) -> None:
    write_pair(
        folder / "imagesTr" / f"{name}_0000.nii.gz",
        folder / "labelsTr" / f"{name}.nii.gz",
        seed=77,
        truth=np.zeros(SHAPE, np.uint8),
    )


def test_index_of_a_sound_folder_writes_a_manifest_and_touches_nothing(voxtrace, folder, tmp_path):
    before = contents(folder)
    out = tmp_path / "made" / "m.jsonl"
    ran = voxtrace("data", "index", folder, "--out", out, "--set", "livers", "--licence", "ours", "--val", "0.4")
    assert ran.code == 0, ran.err
    assert contents(folder) == before
    cases = read_manifest(out)
    assert sorted(case.split for case in cases) == ["train"] * 3 + ["val"] * 2
    assert {(case.set, case.licence, case.may_train_shipped_weights) for case in cases} == {("livers", "ours", False)}
    assert cases[0].image_sha256 == before[str(folder / "imagesTr" / "a_0000.nii.gz")]
    assert "5 cases of 5 patients (3 train, 2 val; 5 volumes), read as nnunet" in ran.out
    assert "no faults" in ran.out
    assert "seed 0" in ran.err


def test_faulty_case_is_named_with_the_way_out_and_the_exit_code_is_3(voxtrace, folder, tmp_path):
    make_empty(folder, "b")
    ran = voxtrace("data", "index", folder, "--out", tmp_path / "m.jsonl")
    assert ran.code == 3
    assert "fault: nothing is labelled (1 case)" in ran.out
    assert "set/b" in ran.out
    assert "-> label it, or leave the case out" in ran.out
    assert len(read_manifest(tmp_path / "m.jsonl")) == 5


def test_faulty_case_can_be_left_out(voxtrace, folder, tmp_path):
    make_empty(folder, "b")
    ran = voxtrace("data", "index", folder, "--out", tmp_path / "m.jsonl", "--drop-faulty")
    assert ran.code == 0
    assert "left out: set/b" in ran.out
    assert voxtrace("data", "check", tmp_path / "m.jsonl").code == 0


def test_check_finds_what_changed_since_the_index(voxtrace, folder, tmp_path):
    voxtrace("data", "index", folder, "--out", tmp_path / "m.jsonl")
    make_empty(folder, "d")
    ran = voxtrace("data", "check", tmp_path / "m.jsonl", "--json")
    assert ran.code == 3
    found = {(fault["fault"], fault["case"]) for fault in ran.json["faults"]}
    assert found == {("empty", "set/d"), ("changed", "set/d")}
    assert all(fault["way_out"] for fault in ran.json["faults"])


def test_json_tells_layout_splits_faults_and_what_was_left_out(voxtrace, folder, tmp_path):
    make_empty(folder, "b")
    told = voxtrace(
        "data", "index", folder, "-o", tmp_path / "m.jsonl", "--drop-faulty", "--val", "0.25", "--json"
    ).json
    assert (told["layout"], told["cases"], told["splits"]) == ("nnunet", 4, {"train": 3, "val": 1})
    assert told["left_out"] == ["set/b"]
    assert [fault["fault"] for fault in told["faults"]] == ["empty"]


def test_folder_with_a_manifest_is_indexed_anew(voxtrace, folder):
    for more in ([], ["--overwrite"]):
        ran = voxtrace("data", "index", folder, "--out", folder / "manifest.jsonl", *more)
        assert ran.code == 0, ran.err
        assert "read as nnunet" in ran.out


@pytest.mark.parametrize(
    ("make", "words", "layout", "modality"),
    [
        (lambda folder: write_bids(folder, ["1", "2", "3"]), [], "bids", "mri"),
        (lambda folder: write_pictures(folder, ["1", "2"]), ["--modality", "US"], "pairs", "ultrasound"),
        (
            lambda folder: write_npz(folder / "CT_1.npz", imgs=labels(SHAPE) * 90, gts=labels(SHAPE)),
            ["--label-type", "instance"],
            "npz",
            "ct",
        ),
    ],
)
def test_other_layouts_are_indexed_too(voxtrace, tmp_path, make, words, layout, modality):
    make(tmp_path / "set")
    ran = voxtrace("data", "index", tmp_path / "set", "--out", tmp_path / "m.jsonl", *words)
    assert ran.code == 0, ran.out + ran.err
    assert f"read as {layout}" in ran.out
    assert {case.modality for case in read_manifest(tmp_path / "m.jsonl")} == {modality}


def test_mistakes_are_told_without_a_traceback(fails, folder, tmp_path):
    out = tmp_path / "m.jsonl"
    assert "does not exist" in fails("data", "index", tmp_path / "nowhere", "--out", out)
    assert "--val 2" in fails("data", "index", folder, "--out", out, "--val", 2)
    assert "--channel 7" in fails("data", "index", folder, "--out", out, "--channel", 7)
    assert "not laid out as bids" in fails("data", "index", folder, "--out", out, "--layout", "bids")
    assert "must end in one of .jsonl" in fails("data", "index", folder, "--out", tmp_path / "m.csv")
    assert "there is no manifest" in fails("data", "check", out)
    out.write_text("")
    assert "no case" in fails("data", "check", out)
    assert "exists already" in fails("data", "index", folder, "--out", out)


def test_unknown_folder_lists_what_was_looked_for(voxtrace, tmp_path):
    (tmp_path / "x").mkdir()
    ran = voxtrace("data", "index", tmp_path / "x", "--out", tmp_path / "m.jsonl")
    assert ran.code == 2
    assert ran.err.startswith("error: no labelled cases were found")
    assert "imagesTr/" in ran.err
    assert not (tmp_path / "m.jsonl").exists()
