"""`voxtrace evaluate` with every way of marking an object."""

from collections import Counter

import pytest

from fake_engine import FakeEngine
from labelled import write_cases
from voxtrace import engines
from voxtrace.eval.results import read_results

pytestmark = pytest.mark.real

WAYS = ("box", "box-jitter", "click", "clicks5", "scribble", "mask", "recist", "oneprompt")


def test_every_prompt_finds_every_object_it_makes_sense_for(voxtrace, tmp_path):
    manifest = write_cases(tmp_path / "data")
    ran = voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--prompt", *WAYS)
    assert ran.code == 0, ran.err
    rows = read_results(tmp_path / "out")
    counts = Counter(row.prompt for row in rows)
    whole = dict.fromkeys(("box", "box-jitter:0.1", "click", "clicks5", "scribble", "recist"), 6)
    assert counts == {**whole, "mask": 2, "oneprompt": 2}
    assert {row.kind for row in rows if row.prompt == "mask"} == {"volume", "video"}
    assert min(row.dsc for row in rows if row.prompt != "box-jitter:0.1") > 0.9
    assert len({row.knowledge for row in rows if row.kind == "volume"}) == 7


def test_one_prompt_serves_the_other_pictures_of_its_set(voxtrace, tmp_path, monkeypatch):
    manifest = write_cases(tmp_path / "data")
    engine = FakeEngine()
    monkeypatch.setattr(engines, "open_engine", lambda *_: engine)
    words = ("evaluate", "--data", manifest, "--out", tmp_path / "out", "--prompt", "oneprompt")
    assert voxtrace(*words).code == 0
    rows = read_results(tmp_path / "out")
    assert [(row.case, row.object) for row in rows] == [("pictures/1", 1), ("pictures/1", 2)]
    assert {row.knowledge for row in rows} == {"its mask on one other image of the set"}
    assert len(engine.begun) == 2
    assert all(prompt.mask is not None and not len(prompt.labels) for (prompt,) in engine.begun)
    assert voxtrace(*words).code == 0
    assert len(engine.begun) == 2


def test_one_prompt_that_breaks_fails_for_all_it_should_have_served(voxtrace, tmp_path, monkeypatch):
    manifest = write_cases(tmp_path / "data")

    class Broken(FakeEngine):
        def follow(self, features, recalled):
            raise RuntimeError("no memory")

    words = ("evaluate", "--data", manifest, "--out", tmp_path / "out", "--prompt", "oneprompt")
    monkeypatch.setattr(engines, "open_engine", lambda *_: Broken())
    ran = voxtrace(*words)
    assert ran.code == 3
    assert [row.status for row in read_results(tmp_path / "out")] == ["failed", "failed"]
    monkeypatch.setattr(engines, "open_engine", lambda *_: FakeEngine())
    assert voxtrace(*words).code == 0
    assert [row.status for row in read_results(tmp_path / "out")] == ["done", "done"]


def test_a_net_without_memory_is_measured_on_pictures(voxtrace, tmp_path, monkeypatch):
    manifest = write_cases(tmp_path / "data")
    monkeypatch.setattr(engines, "open_engine", lambda *_: FakeEngine(follows=False))
    words = ("--prompt", "box", "mask", "oneprompt")
    assert voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", *words).code == 0
    assert {(row.kind, row.prompt) for row in read_results(tmp_path / "out")} == {("image", "box")}


def test_a_net_without_memory_is_measured_on_volumes_whose_slices_are_told(voxtrace, tmp_path, monkeypatch):
    manifest = write_cases(tmp_path / "data")
    monkeypatch.setattr(engines, "open_engine", lambda *_: FakeEngine(follows=False))
    words = ("evaluate", "--data", manifest, "--prompt", "box", "click", "mask")
    assert voxtrace(*words, "--z-range", "both", "--out", tmp_path / "out").code == 0
    found = {(row.kind, row.prompt, row.z_range) for row in read_results(tmp_path / "out")}
    assert found == {("image", "box", False), ("volume", "box", True), ("volume", "mask", True)}
    ran = voxtrace(*words, "--kind", "volume", "--out", tmp_path / "none")
    assert ran.code == 2
    assert "must be told the slices of volumes: --z-range yes" in ran.err


def test_a_net_of_boxes_alone_is_not_corrected_with_clicks(voxtrace, tmp_path, monkeypatch):
    manifest = write_cases(tmp_path / "data")
    monkeypatch.setattr(engines, "open_engine", lambda *_: FakeEngine(follows=False))
    ran = voxtrace("bench", "interactive", "--data", manifest, "--out", tmp_path / "out")
    assert ran.code == 2
    assert "trained with boxes alone" in ran.err


def test_a_method_that_understands_no_prompt_is_named(voxtrace, tmp_path):
    words = ("evaluate", "--data", write_cases(tmp_path / "data"))
    ran = voxtrace(*words, "--model", "carried", "ellipse", "--out", tmp_path / "out")
    assert ran.code == 0
    assert "carried was not asked" in ran.out
    ran = voxtrace(*words, "--model", "carried", "--prompt", "click", "--out", tmp_path / "none")
    assert ran.code == 2
    assert "carried cannot be asked by click" in ran.err
