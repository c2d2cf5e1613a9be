"""The lock of a challenge run: what it holds, when a run is refused, and what `reproduce` says of two."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from challenge_kit import SANDBOXES, block, working, write_case, write_submission
from command_line import CommandLine
from voxtrace.bench.challenge import locking, running
from voxtrace.bench.lock import code_hash, read_lock

# One after the other: each watches the machine's processes, memory groups and disk.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("sandbox")]

LIMITS = "memory=256M,cpus=1,seconds=10,disk=8M,processes=24"


class Held:
    """A challenge of two cases: run it with other words in place of those that are usual."""

    def __init__(self, folder: Path, voxtrace: CommandLine) -> None:
        self.folder, self.voxtrace = folder, voxtrace
        self.submission = write_submission(folder / "one", 'cp answer.npz "$2/$(ls inputs)"')
        self.cases = [write_case(folder / "cases", f"3DBox_CT_{number}.npz") for number in (1, 2)]

    def run(self, out: str, *more: object, limits: str = LIMITS):
        words = {"--submission": self.submission, "--cases": self.cases[0].parent, "--out": self.folder / out}
        pairs = [word for pair in words.items() for word in pair]
        return self.voxtrace("challenge", "run", *pairs, "--limits", limits, *more)

    def reproduce(self, first: str, second: str):
        return self.voxtrace("challenge", "reproduce", self.folder / first, self.folder / second, "--json")


@pytest.fixture
def held(tmp_path, capsys, monkeypatch):
    working(SANDBOXES["namespaces"]())
    return Held(tmp_path, CommandLine(capsys, monkeypatch))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_lock_holds_all_that_a_run_was_made_of(held, tmp_path):
    assert held.run("out", "--sandbox", "namespaces").code == 0
    lock = json.loads((tmp_path / "out" / "lock.json").read_text())
    assert lock["what"] == "challenge run"
    assert lock["data_sha256"] == {path.name: sha256(path)[:16] for path in held.cases}
    files = {name: sha256(held.submission / name)[:16] + " executable" for name in ("answer.npz", "predict")}
    assert lock["submission_files"] == files
    settings = lock["settings"]
    assert settings["submission"]["command"] == ["./predict", "{inputs}", "{outputs}"]
    assert (settings["limits"]["seconds"], settings["limits"]["disk"]) == (10, 8 * 2**20)
    assert settings["sandbox"] == "namespaces"
    assert settings["versions"]["numpy"] == np.__version__
    assert lock["plan"]["seed"] == 0
    assert lock["code_sha256"] == code_hash()
    assert lock["machine"]["cores"] >= 1
    assert settings == json.loads((tmp_path / "out" / "results.json").read_text())["settings"]


def test_a_run_goes_on_only_with_what_it_was_begun_with(held, tmp_path, monkeypatch):
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "weights").write_text("1")
    (beside / "__pycache__").mkdir()
    allow = ("--allow", beside)
    assert held.run("out", *allow).code == 0
    before = read_lock(tmp_path / "out")
    (beside / "__pycache__" / "one.pyc").write_text("python wrote this")
    assert held.run("out", *allow).code == 0

    def refused(said: str, *more: object, **changed: str) -> None:
        ran = held.run("out", *more, **changed)
        assert (ran.code, said in ran.err) == (2, True), ran.err

    refused("limits.seconds was 10", *allow, limits=LIMITS.replace("seconds=10", "seconds=11"))
    refused("scoring.nsd_tolerance_mm was 2.0, now 3.0", *allow, "--tolerance-mm", "3")
    refused("allow was")
    with monkeypatch.context() as other:
        other.setattr(locking, "versions", lambda: {"python": "2.7"})
        refused("versions.python was", *allow)
    with monkeypatch.context() as other:
        other.setattr(running, "usable_cpus", lambda: list(range(99)))
        refused("now 99", *allow)
    (beside / "weights").write_text("2")
    refused("beside was", *allow)
    assert read_lock(tmp_path / "out")["settings"] == before["settings"], "a refused run leaves the lock as it was"


def test_a_case_that_changed_is_run_again_and_is_in_the_lock(held, tmp_path):
    held.run("out")
    write_case(held.cases[0].parent, held.cases[0].name, np.roll(block(), 1, 2))
    held.run("out")
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["cases"]
    assert read_lock(tmp_path / "out")["data_sha256"] == {row["case"]: row["case_sha256"] for row in rows}
    assert rows[0]["case_sha256"] == sha256(held.cases[0])[:16]


def test_the_same_twice_has_nothing_that_changed(held):
    held.run("out")
    held.run("again")
    ran = held.reproduce("out", "again")
    assert (ran.code, ran.json["changed"], ran.json["counts"]) == (0, [], {"identical": 2})


def test_what_changed_from_run_to_run_is_named(held, monkeypatch):
    held.run("out")
    (held.submission / "predict").write_text('#!/bin/sh\ncp answer.npz "$2/$(ls "$1")"\n')
    (held.submission / "new").symlink_to("predict")
    monkeypatch.setattr(locking, "versions", lambda: {"python": "2.7"})
    held.run("again", limits=LIMITS.replace("disk=8M", "disk=9M"))
    changed = held.reproduce("out", "again").json["changed"]
    assert any(line.startswith("limits.disk was 8388608, now 9437184") for line in changed)
    assert any(line.startswith("file.predict was ") for line in changed)
    assert 'file.new was null, now "-> predict"' in changed
    assert any(line.startswith("versions.python was ") for line in changed)
    assert any(line.startswith("submission.sha256 was ") for line in changed)
    assert not any("answer.npz" in line for line in changed)
    text = held.voxtrace("challenge", "reproduce", held.folder / "out", held.folder / "again").out
    assert "changed: limits.disk was 8388608, now 9437184" in text


def test_a_lock_that_is_gone_or_of_something_else_is_told(held, tmp_path):
    held.run("out")
    held.run("again")
    file = tmp_path / "again" / "lock.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"what": "evaluate"}))
    ran = held.reproduce("out", "again")
    assert (ran.code, "is the lock of `evaluate`" in ran.err) == (2, True)
    file.unlink()
    ran = held.reproduce("out", "again")
    assert (ran.code, len(ran.json["changed"])) == (0, 1)
    assert "again/lock.json is not there" in ran.json["changed"][0]


def test_verify_sends_a_run_of_a_submission_to_reproduce(held, tmp_path):
    held.run("out")
    ran = held.voxtrace("bench", "verify", tmp_path / "out")
    assert (ran.code, "voxtrace challenge reproduce" in ran.err) == (2, True)


def test_an_image_is_locked_by_its_hash_not_by_its_tag(tmp_path, capsys, monkeypatch):
    """The engine is a stand-in that knows one image and does nothing with it."""
    engine = tmp_path / "engines" / "docker"
    engine.parent.mkdir()
    monkeypatch.setenv("PATH", f"{engine.parent}:{os.environ['PATH']}")
    write_case(tmp_path / "cases")
    voxtrace, words = CommandLine(capsys, monkeypatch), ("--cases", tmp_path / "cases", "--out", tmp_path / "out")
    for built, code in (("sha256:12", 3), ("sha256:12", 3), ("sha256:34", 2)):
        engine.write_text(f'#!/bin/sh\n[ "$1" = image ] && echo {built}\nexit 0\n')
        engine.chmod(0o755)
        ran = voxtrace("challenge", "run", "--submission", "team:latest", *words, "--limits", "cpus=1,seconds=5")
        assert ran.code == code, ran.err
    assert 'submission.sha256 was "sha256:12", now "sha256:34"' in ran.err
    assert read_lock(tmp_path / "out")["settings"]["submission"]["sha256"] == "sha256:12"
