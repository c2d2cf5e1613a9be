"""The feature cache from the command line: --cache, --no-cache, --cache-size, the environment; cache info and clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import BOX, CommandLine, write_picture
from keeping_engine import KeepingEngine
from voxtrace import engines


@pytest.fixture
def opened(voxtrace: CommandLine, monkeypatch: pytest.MonkeyPatch) -> list[KeepingEngine]:
    """The engines that commands opened; their features can be kept."""
    made: list[KeepingEngine] = []

    def open_engine(*_asked: object) -> KeepingEngine:
        made.append(KeepingEngine())
        return made[-1]

    monkeypatch.setattr(engines, "open_engine", open_engine)
    return made


def held(folder: Path) -> int:
    return len(list(folder.rglob("*.features")))


def test_the_same_command_again_encodes_nothing_and_writes_the_same_mask(voxtrace, opened, scan, tmp_path):
    for name in ("first", "again"):
        words = ("segment", scan, "-o", tmp_path / f"{name}.nii", "--box", BOX, "--cache", tmp_path / "cache")
        assert voxtrace(*words).code == 0
    assert opened[0].encoded == held(tmp_path / "cache") > 0
    assert opened[1].encoded == 0
    assert (tmp_path / "first.nii").read_bytes() == (tmp_path / "again.nii").read_bytes()


def test_videos_and_sets_are_kept_too(voxtrace, opened, tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(3):
        write_picture(tmp_path / "frames" / f"f{index}.png", left=20 + index)
    marks = ("-o", tmp_path / "masks", "--cache", tmp_path / "cache")
    assert voxtrace("track", tmp_path / "frames", *marks, "--box", "0:8,18,22,34").code == 0
    words = ("oneprompt", tmp_path / "frames", "--image", "f0.png", *marks, "--box", "8,18,22,34", "--overwrite")
    ran = voxtrace(*words)
    assert ran.code == 0, ran.err
    assert opened[0].encoded > 0
    assert opened[1].encoded < 3, "the whole frames were encoded before, for the set only what was not"


@pytest.mark.parametrize(
    ("named", "words", "kept"),
    [("cache", (), True), ("off", (), False), ("cache", ("--no-cache",), False)],
    ids=["a folder", "off", "--no-cache"],
)
def test_the_environment_names_the_folder(voxtrace, opened, scan, tmp_path, monkeypatch, named, words, kept):
    monkeypatch.setenv("VOXTRACE_CACHE", str(tmp_path / named) if named != "off" else "off")
    assert voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, *words).code == 0
    assert (held(tmp_path) > 0) is kept


def test_without_any_word_the_users_cache_folder_is_taken(voxtrace, opened, scan, tmp_path, monkeypatch):
    monkeypatch.delenv("VOXTRACE_CACHE", raising=False)
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path / "home"))
    assert voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX).code == 0
    assert held(tmp_path / "home" / "features") == opened[0].encoded


def test_a_size_is_kept_to(voxtrace, opened, scan, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTRACE_CACHE_SIZE", "1T")
    words = ("--cache", tmp_path / "cache", "--cache-size", "5 kB")
    assert voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, *words).code == 0
    assert 0 < sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.features")) <= 5000
    assert held(tmp_path / "cache") < opened[0].encoded


def test_what_cannot_be_written_is_a_warning_and_the_mask_is_there(voxtrace, opened, scan, tmp_path):
    (tmp_path / "cache").write_text("mine")
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii", "--box", BOX, "--cache", tmp_path / "cache")
    assert ran.code == 0
    assert ran.err.count("warning") == 1
    assert f"the feature cache {tmp_path / 'cache'} is left out" in ran.err
    voxtrace("segment", scan, "-o", tmp_path / "without.nii", "--box", BOX, "--no-cache")
    assert (tmp_path / "m.nii").read_bytes() == (tmp_path / "without.nii").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cache-size", "3XB"), "--cache-size 3XB: write a size such as 500MB"),
        (("--no-cache", "--cache", "here"), "leave one of them out"),
    ],
)
def test_options_that_mean_nothing_are_refused(fails, scan, tmp_path, words, message):
    assert message in fails("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, *words)


def test_info_tells_what_is_held_and_clear_removes_it(voxtrace, opened, scan, tmp_path):
    folder = tmp_path / "cache"
    voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, "--cache", folder)
    sizes = [path.stat().st_size for path in folder.rglob("*.features")]
    about = voxtrace("cache", "info", "--cache", folder, "--cache-size", "2MB", "--json").json
    assert (about["entries"], about["bytes"], about["limit"]) == (len(sizes), sum(sizes), 2_000_000)
    assert f"{len(sizes)} encoded frames" in voxtrace("cache", "info", "--cache", folder).out
    cleared = voxtrace("cache", "clear", "--cache", folder, "--json").json
    assert (cleared["entries"], cleared["bytes"]) == (len(sizes), sum(sizes))
    assert held(folder) == 0
    assert voxtrace("cache", "info", "--cache", folder, "--json").json["entries"] == 0


def test_info_and_clear_of_a_folder_that_is_not_there_are_no_mistake(voxtrace, tmp_path):
    for action in ("info", "clear"):
        ran = voxtrace("cache", action, "--cache", tmp_path / "none")
        assert ran.code == 0
        assert "0 encoded frames" in ran.out
    assert not (tmp_path / "none").exists()


def test_a_home_folder_that_the_shell_left_alone_is_the_same_for_all_commands(
    voxtrace, opened, scan, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, "--cache=~/kept")
    about = voxtrace("cache", "info", "--cache=~/kept", "--json").json
    assert about["folder"] == str(tmp_path / "me" / "kept")
    assert about["entries"] > 0
    told = voxtrace("cache", "info", "--cache", folder := tmp_path / "me" / "kept").out
    assert " kB" in told
    assert f"voxtrace cache clear --cache {folder}" in told  # without it another folder would be emptied
