"""The cache on disk among processes, on folders that cannot be written, on a full disk."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blocks import SHAPE
from keeping_engine import KeepingEngine, ran
from voxtrace.feature_cache import FeatureStore

pytestmark = [pytest.mark.real, pytest.mark.skipif(sys.platform == "win32", reason="needs fork and file limits")]

TESTS = Path(__file__).parent
NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def in_another_process(work: Callable[[], Any], prepare: Callable[[], None]) -> Any:
    """What `work` returns in a fork of this process, after `prepare`."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)

    def run() -> None:
        prepare()
        theirs.send(work())

    process = context.Process(target=run)
    process.start()
    theirs.close()
    answer = ours.recv() if ours.poll(60) else None
    process.join(10)
    return answer


def looked(folder: Path) -> tuple[bool, int, list[str]]:
    """(whether the masks are those without a cache, frames encoded, notes)."""
    engine = KeepingEngine()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = ran(FeatureStore(folder), engine).labels
    return bool(np.array_equal(found, ran(None).labels)), engine.encoded, [str(one.message) for one in told]


def without_rights() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def on_a_full_disk() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))  # bytes of a file: less than an entry, more than the tag


def test_a_folder_that_cannot_be_written_is_left_out_with_one_note(open_folder):
    (open_folder / "cache").mkdir(mode=0o555)
    same, encoded, told = in_another_process(lambda: looked(open_folder / "cache"), without_rights)
    assert same
    assert encoded == SHAPE[0]
    assert len(told) == 1
    assert "is left out: Permission denied" in told[0]


def test_a_full_cache_that_can_only_be_read_is_still_read(open_folder):
    folder = open_folder / "cache"
    ran(FeatureStore(folder))
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert in_another_process(lambda: looked(folder), without_rights) == (True, 0, [])


def test_a_full_disk_is_one_note_and_leaves_nothing_half_written(tmp_path):
    same, encoded, told = in_another_process(lambda: looked(tmp_path / "cache"), on_a_full_disk)
    assert same
    assert encoded == SHAPE[0]
    assert len(told) == 1
    assert "is left out: File too large" in told[0]
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["CACHEDIR.TAG"]


def test_a_file_in_the_folders_place_is_one_note(tmp_path):
    (tmp_path / "cache").write_text("mine")
    same, _, told = looked(tmp_path / "cache")
    assert same
    assert len(told) == 1
    assert (tmp_path / "cache").read_text() == "mine"


def test_processes_that_share_a_cache_too_small_for_them_all_find_the_same(tmp_path):
    command = [sys.executable, str(TESTS / "keeping_engine.py"), str(tmp_path / "cache"), "20000", "15"]
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(TESTS), "PYTHONWARNINGS": "error"}
    others = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
    told = [other.communicate("go\n", timeout=120)[0].splitlines() for other in others]
    assert [other.returncode for other in others] == [0, 0, 0], "no warning, no error"
    assert len(told[0]) == 15
    assert told[0] == told[1] == told[2]
    assert len(set(told[0])) == 5, "one result for each of the five scans"
    reader = FeatureStore(tmp_path / "cache")
    names = [path.parent.name + path.stem for path in (tmp_path / "cache").rglob("*.features")]
    assert names
    assert all(reader.read(name) is not None for name in names)
    assert not list((tmp_path / "cache").rglob("*.unfinished"))
