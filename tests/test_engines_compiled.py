"""Compiled graphs on disk: a help, never a harm."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from voxtrace.engines.compiled import SUFFIX, CompiledGraphs, cache_folder

KEY = ("graph", "weights", "a runtime 1.0")


@pytest.fixture
def kept(tmp_path: Path) -> CompiledGraphs:
    return CompiledGraphs(tmp_path / "compiled", limit=1000)


def files(kept: CompiledGraphs) -> list[Path]:
    return sorted(kept.folder.iterdir())


def test_what_is_kept_comes_back_to_its_key_alone(kept):
    assert kept.read(KEY) is None
    kept.write(KEY, b"compiled")
    assert kept.read(KEY) == b"compiled"
    assert kept.read((*KEY[:2], "a runtime 1.1")) is None


def test_a_file_where_the_folder_should_be_is_told_once(tmp_path, recwarn):
    (tmp_path / "file").write_bytes(b"")
    kept = CompiledGraphs(tmp_path / "file" / "compiled")
    assert kept.read(KEY) is None
    kept.write(KEY, b"compiled")
    assert [str(one.message).partition(" (")[0] for one in recwarn] == [
        f"compiled graphs are not kept in {kept.folder}",
    ]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 500], ids=["empty", "cut short", "foreign"])
def test_a_damaged_file_is_told_and_removed(kept, content):
    kept.write(KEY, b"compiled")
    files(kept)[0].write_bytes(content)
    with pytest.warns(UserWarning, match="compiled anew"):
        assert kept.read(KEY) is None
    assert files(kept) == []


def test_a_single_changed_byte_is_noticed(kept):
    kept.write(KEY, b"compiled")
    path = files(kept)[0]
    path.write_bytes(path.read_bytes()[:-1] + b"D")
    with pytest.warns(UserWarning, match="changed"):
        assert kept.read(KEY) is None


def test_what_was_used_longest_ago_makes_room(kept):
    for index, name in enumerate("abc"):
        kept.write(name, bytes(300))
        os.utime(kept._path(name), (index, index))
    kept.read("a")  # used now
    kept.write("d", bytes(300))
    assert [name for name in "abcd" if kept.read(name)] == ["a", "c", "d"]
    assert sum(path.stat().st_size for path in files(kept)) <= 1000


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_only_costs_the_cache(kept, monkeypatch, number):
    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match="VOXTRACE_CACHE"):
        kept.write(KEY, b"compiled")
    assert files(kept) == [], "nothing half-written is left"
    assert kept.read(KEY) is None


def test_the_folder_is_only_its_owners(kept):
    kept.write(KEY, b"compiled")
    assert kept.folder.stat().st_mode & 0o077 == 0
    assert [path.suffix for path in files(kept)] == [SUFFIX]


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTRACE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "compiled"
    monkeypatch.setenv("VOXTRACE_CACHE", "off")
    assert cache_folder() is None
    monkeypatch.delenv("VOXTRACE_CACHE")
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / "compiled"
