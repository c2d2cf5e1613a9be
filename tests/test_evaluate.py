"""`voxtrace evaluate` from the manifest to the tables, with an engine without a net."""

import json

import numpy as np
import pytest
from PIL import Image

from fake_engine import FakeEngine
from labelled import BLOCKS
from voxtrace import engines
from voxtrace.errors import CheckpointError
from voxtrace.eval.results import read_results

pytestmark = pytest.mark.real


def by_case(folder):
    return {(row.case, row.object): row for row in read_results(folder)}


def same_but_for_cost(folder, other):
    def bare(row):
        return [getattr(row, name) for name in row.__slots__ if name not in ("seconds", "peak_mb")]

    return [bare(r) for r in read_results(folder)] == [bare(r) for r in read_results(other)]


class Unsteady(FakeEngine):
    """Breaks at one call of `begin`, as a crash (KeyboardInterrupt) or an error would."""

    def __init__(self, at: int, error: BaseException) -> None:
        super().__init__()
        self.left, self.error = at, error

    def begin(self, features, prompts):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return super().begin(features, prompts)


def test_every_object_of_every_kind_gets_a_row(voxtrace, manifest, tmp_path):
    ran = voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out")
    assert ran.code == 0
    rows = by_case(tmp_path / "out")
    assert list(rows) == [
        ("pictures/0", 1),
        ("pictures/0", 2),
        ("pictures/1", 1),
        ("pictures/1", 2),
        ("scans/ct", 1),
        ("films/film", 1),
    ]
    assert min(row.dsc for row in rows.values()) > 0.9
    scan = rows["scans/ct", 1]
    assert (scan.model, scan.prompt, scan.kind, scan.modality, scan.patient) == (
        "voxtrace-small",
        "box",
        "volume",
        "ct",
        "t",
    )
    assert scan.knowledge == "its tight box, on the middle slice of its z range"
    assert scan.frame == 7  # of slices 4..9
    assert scan.seconds > 0
    assert rows["films/film", 1].frame == 1


def test_summary_has_the_four_keys_and_intervals(voxtrace, manifest, tmp_path):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(found) == {"overall", "by_modality", "by_set", "by_kind"}
    assert set(found["by_kind"]) == {"image", "volume", "video"}
    assert set(found["by_set"]["pictures"]["dsc"]) == {"mean", "low", "high", "n"}
    assert found["by_set"]["pictures"]["dsc"]["n"] == 2
    means = [found["by_set"][name]["dsc"]["mean"] for name in ("pictures", "scans", "films")]
    assert found["overall"]["dsc"]["mean"] == pytest.approx(np.mean(means), abs=1e-6)


def test_summary_is_of_the_first_model_and_summaries_of_all(voxtrace, manifest, tmp_path):
    words = ("--model", "carried", "ellipse", "--prompt", "box", "mask", "--z-range", "both")
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", *words)
    every = json.loads((tmp_path / "out" / "summaries.json").read_text())
    assert [(s["model"], s["prompt"], s["z_range"]) for s in every] == [
        ("carried", "mask", False),
        ("carried", "mask", True),
        ("ellipse", "box", False),
        ("ellipse", "box", True),
    ]
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["overall"] == every[0]["overall"]


def test_a_run_that_was_cut_off_goes_on_and_ends_alike(voxtrace, manifest, tmp_path, monkeypatch):
    words = ("evaluate", "--data", manifest, "--prompt", "box-jitter", "click")
    voxtrace(*words, "--out", tmp_path / "whole")
    monkeypatch.setattr(engines, "open_engine", lambda *_: Unsteady(8, KeyboardInterrupt()))
    assert voxtrace(*words, "--out", tmp_path / "out").code == 130
    assert not (tmp_path / "out" / "results.csv").exists()
    engine = FakeEngine()
    monkeypatch.setattr(engines, "open_engine", lambda *_: engine)
    ran = voxtrace(*words, "--out", tmp_path / "out", "--json")
    assert ran.json["kept"] == 7
    assert len(engine.begun) == 5
    assert same_but_for_cost(tmp_path / "whole", tmp_path / "out")


def test_a_run_that_is_done_asks_nothing_again(voxtrace, manifest, tmp_path, monkeypatch):
    words = ("evaluate", "--data", manifest, "--out", tmp_path / "out")
    voxtrace(*words)
    before = (tmp_path / "out" / "results.csv").read_bytes()
    engine = FakeEngine()
    monkeypatch.setattr(engines, "open_engine", lambda *_: engine)
    assert voxtrace(*words).code == 0
    assert engine.encoded == 0
    assert (tmp_path / "out" / "results.csv").read_bytes() == before


def test_changed_settings_are_refused_by_name(voxtrace, manifest, tmp_path):
    words = ("evaluate", "--data", manifest, "--out", tmp_path / "out")
    voxtrace(*words)
    ran = voxtrace(*words, "--prompt", "click", "--seed", "3")
    assert ran.code == 2
    assert 'prompts was ["box"], now ["click"]' in ran.err
    assert "seed was 0, now 3" in ran.err
    assert "tolerance" not in ran.err


def test_changed_data_are_refused_by_the_case(voxtrace, manifest, tmp_path):
    words = ("evaluate", "--data", manifest, "--out", tmp_path / "out")
    voxtrace(*words)
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(manifest.parent / "1.png")
    ran = voxtrace(*words)
    assert ran.code == 2
    assert "data_sha256.pictures/1" in ran.err
    assert "pictures/0" not in ran.err


def test_an_object_that_fails_counts_as_zero_is_listed_and_tried_again(voxtrace, manifest, tmp_path, monkeypatch):
    words = ("evaluate", "--data", manifest, "--out", tmp_path / "out")
    monkeypatch.setattr(engines, "open_engine", lambda *_: Unsteady(2, RuntimeError("out of memory")))
    ran = voxtrace(*words)
    assert ran.code == 3
    assert "pictures/0 object 2 (voxtrace-small, box): RuntimeError: out of memory" in ran.out
    lost = by_case(tmp_path / "out")["pictures/0", 2]
    assert (lost.status, lost.dsc, lost.nsd, lost.hd95) == ("failed", 0, 0, np.inf)
    assert by_case(tmp_path / "out")["pictures/1", 2].status == "done"
    monkeypatch.setattr(engines, "open_engine", lambda *_: FakeEngine())
    ran = voxtrace(*words)
    assert ran.code == 0
    assert by_case(tmp_path / "out")["pictures/0", 2].dsc > 0.9
    assert len(by_case(tmp_path / "out")) == 6


def test_a_case_that_cannot_be_read_is_one_failed_row(voxtrace, manifest, tmp_path):
    (manifest.parent / "1.png").write_bytes(b"not a picture")
    ran = voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--set", "pictures")
    assert ran.code == 3
    rows = by_case(tmp_path / "out")
    assert list(rows) == [("pictures/0", 1), ("pictures/0", 2), ("pictures/1", 0)]
    mean = json.loads((tmp_path / "out" / "summary.json").read_text())["overall"]["dsc"]["mean"]
    assert mean == pytest.approx((rows["pictures/0", 1].dsc + rows["pictures/0", 2].dsc) / 4, abs=1e-6)


def test_a_case_whose_file_is_gone_fails_and_the_others_are_measured(voxtrace, manifest, tmp_path):
    (manifest.parent / "ct.nii.gz").unlink()
    ran = voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out")
    assert ran.code == 3
    assert "failed  scans/ct object 0" in ran.out
    assert "ct.nii.gz does not exist" in ran.out
    assert sum(row.status == "done" for row in by_case(tmp_path / "out").values()) == 5


def test_weights_that_do_not_load_leave_no_folder(voxtrace, manifest, tmp_path, monkeypatch):
    def damaged(*_):
        raise CheckpointError("the file is cut off")

    monkeypatch.setattr(engines, "open_engine", damaged)
    for command in (("evaluate",), ("bench", "interactive")):
        ran = voxtrace(*command, "--data", manifest, "--out", tmp_path / "out")
        assert ran.code == 2
        assert "cut off" in ran.err
        assert not (tmp_path / "out").exists()


def test_cases_are_chosen_by_set_kind_and_number(voxtrace, manifest, tmp_path):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "a", "--kind", "image", "--most", "1")
    assert {case for case, _ in by_case(tmp_path / "a")} == {"pictures/0"}
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "b", "--set", "films", "scans", "--objects", "1")
    assert {case for case, _ in by_case(tmp_path / "b")} == {"films/film", "scans/ct"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "sam9"), "sam9"),
        (("--prompt", "boxes"), "boxes"),
        (("--prompt", "box-jitter:7"), "box-jitter:7"),
        (("--set", "nothing"), "nothing"),
        (("--split", "train"), "no case of split train"),
        (("--most", "0"), "0 cases"),
        (("--model", "ellipse", "--predictions", "x"), "--predictions"),
        (("--predictions", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(voxtrace, manifest, tmp_path, words, said):
    ran = voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", *words)
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "out").exists()


def test_blocks_of_the_pictures_are_where_they_are_said_to_be(manifest):
    labels = np.asarray(Image.open(manifest.parent / "0_mask.png"))
    assert (labels[BLOCKS[1]] == 1).all()
