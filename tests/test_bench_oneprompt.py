"""One prompt for a whole set: what is recalled of its pictures is a way of asking."""

import json

import pytest

from fake_engine import FakeEngine
from labelled import write_picture
from voxtrace import engines
from voxtrace.eval.results import read_results

PICTURES = 4


@pytest.fixture
def measured(voxtrace, tmp_path, monkeypatch):
    """Evaluate a set of four pictures with two classes by these words -> the rows, and the engine that was asked."""
    data = tmp_path / "data"
    data.mkdir()
    rows = [write_picture(data, number) for number in range(PICTURES)]
    (data / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def measure(*words):
        engine = FakeEngine()
        monkeypatch.setattr(engines, "open_engine", lambda *_: engine)
        asked = ("--data", data / "manifest.jsonl", "--out", tmp_path / "out", "--prompt", "oneprompt")
        ran = voxtrace("evaluate", *asked, *words)
        assert ran.code == 0, ran.err
        return read_results(tmp_path / "out"), engine

    return measure


@pytest.mark.parametrize(
    ("memory", "times"),
    [
        ("none", [[0], [0], [0]]),
        ("fifo", [[0], [0, 1], [0, 2, 1]]),
        ("self-sorting", [[0], [0, None], [0, None, None]]),
    ],
)
def test_each_memory_recalls_its_own_pictures(measured, memory, times):
    rows, engine = measured("--memory", memory)
    assert [[time for _, time in one.memories] for one in engine.recalled] == times * 2
    assert {row.prompt for row in rows} == {"oneprompt" if memory == "self-sorting" else f"oneprompt:{memory}"}


def test_memories_are_measured_side_by_side_in_one_run(measured):
    rows, engine = measured("--memory", "self-sorting", "fifo", "none")
    by_way = {way: [row for row in rows if row.prompt == way] for way in dict.fromkeys(row.prompt for row in rows)}
    assert list(by_way) == ["oneprompt", "oneprompt:fifo", "oneprompt:none"]
    assert {len(own) for own in by_way.values()} == {2 * (PICTURES - 1)}
    assert len(engine.begun) == 3 * 2
