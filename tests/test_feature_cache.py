"""Encoded frames on disk: the same masks whatever state the cache is in, and nothing encoded twice."""

from __future__ import annotations

import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from blocks import SHAPE
from fake_engine import FakeEngine
from keeping_engine import KeepingEngine, ran, slices
from voxtrace.feature_cache import FeatureStore, room
from voxtrace.feature_cache.entry import ALIGNED
from voxtrace.feature_cache.store import WAITING, key_of
from voxtrace.volume import Volume

SLICES = SHAPE[0]


def labels(store: FeatureStore | None, engine: FakeEngine | None = None) -> np.ndarray:
    return ran(store, engine).labels


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.features"))


@pytest.fixture
def warm(tmp_path: Path) -> Path:
    """A cache that holds all slices."""
    ran(FeatureStore(tmp_path / "cache"))
    assert len(files(tmp_path / "cache")) == SLICES
    return tmp_path / "cache"


def test_a_second_session_encodes_nothing_and_finds_the_same(warm):
    engine, store = KeepingEngine(), FeatureStore(warm)
    assert np.array_equal(labels(store, engine), labels(None))
    assert engine.encoded == 0
    assert (store.hits, store.misses, store.written) == (SLICES, 0, 0)


def test_equal_slices_share_an_entry(tmp_path):
    engine = KeepingEngine()
    ran(FeatureStore(tmp_path), engine, Volume(np.full(SHAPE, 100, np.uint8)))
    assert len(files(tmp_path)) == 1


def test_a_slice_that_changed_is_encoded_anew_and_only_that(warm):
    array = slices().array.copy()
    array[3, 19, 23] += 1
    engine = KeepingEngine()
    ran(FeatureStore(warm), engine, Volume(array))
    assert engine.encoded == 1


def test_of_a_batch_only_what_is_not_there_is_encoded(warm):
    for path in files(warm)[::2]:
        path.unlink()
    engine = KeepingEngine(batch=4)
    assert np.array_equal(labels(FeatureStore(warm), engine), labels(None))
    assert engine.encoded == len(range(0, SLICES, 2))


def test_features_of_other_weights_or_another_engine_are_not_taken(warm):
    engine = KeepingEngine("fake 2")
    ran(FeatureStore(warm), engine)
    assert engine.encoded == SLICES


@pytest.mark.parametrize("engine", [KeepingEngine(""), FakeEngine()], ids=["made in memory", "cannot pack"])
def test_an_engine_whose_features_cannot_be_known_again_keeps_none(tmp_path, engine):
    assert np.array_equal(labels(FeatureStore(tmp_path / "cache"), engine), labels(None))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (lambda p: p, True),
        (lambda p: np.asfortranarray(p), True),
        (lambda p: p.reshape(8, 6, 3), False),
        (lambda p: p[::-1], False),
        (lambda p: p.astype(np.int8), False),
    ],
    ids=["itself", "laid otherwise in memory", "another shape", "turned over", "another dtype"],
)
def test_a_key_is_that_of_the_pixels_alone(changed, same):
    pixels = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    assert (key_of("a", changed(pixels)) == key_of("a", pixels)) is same


# Damage


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)


def lengthened(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(ALIGNED))


def exchanged(path: Path) -> None:
    other = next(p for p in files(path.parent.parent) if p != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("harm", [cut, emptied, flipped, lengthened, exchanged], ids=lambda harm: harm.__name__)
def test_damaged_entries_are_told_once_and_made_anew(warm, harm: Callable[[Path], None]):
    for path in files(warm)[1:3]:
        harm(path)
    engine = KeepingEngine()
    with pytest.warns(UserWarning, match="is damaged .* made anew") as told:
        found = labels(FeatureStore(warm), engine)
    assert np.array_equal(found, labels(None))
    assert engine.encoded == 2
    assert len(told) == 1
    engine = KeepingEngine()
    ran(FeatureStore(warm), engine)
    assert engine.encoded == 0, "they were written again"


def test_an_entry_that_the_engine_cannot_take_back_is_damaged(tmp_path):
    class Other(KeepingEngine):
        def pack(self, features):
            return {"grey": features.grey[1:]}

    ran(FeatureStore(tmp_path), Other())
    engine = KeepingEngine()
    with pytest.warns(UserWarning, match="is damaged"):
        found = labels(FeatureStore(tmp_path), engine)
    assert np.array_equal(found, labels(None))
    assert engine.encoded == SLICES


# Room


def test_what_was_used_longest_ago_goes_first(warm):
    size = files(warm)[0].stat().st_size
    order = files(warm)
    for age, path in enumerate(order):
        os.utime(path, (time.time() - 100 * age,) * 2)
    room.make_room(warm, 4 * size)
    assert files(warm) == order[:3]


def test_reading_an_entry_makes_it_the_newest(warm):
    for path in files(warm):
        os.utime(path, (1e9, 1e9))
    ran(FeatureStore(warm))
    assert all(path.stat().st_mtime > time.time() - 60 for path in files(warm))


def test_a_cache_over_its_limit_stays_below_it_and_the_masks_are_the_same(warm):
    size = files(warm)[0].stat().st_size
    small = FeatureStore(warm, limit=3 * size)
    assert np.array_equal(ran(small, KeepingEngine("other")).labels, labels(None))
    assert sum(path.stat().st_size for path in files(warm)) <= 3 * size


def test_an_entry_larger_than_the_limit_is_not_written(tmp_path):
    engine, store = KeepingEngine(), FeatureStore(tmp_path / "cache", limit=100)
    assert np.array_equal(labels(store, engine), labels(None))
    assert not files(tmp_path / "cache")
    assert store.left_out == SLICES


def test_what_a_killed_process_left_unfinished_is_removed_when_it_is_old(warm):
    old, new = (files(warm)[0].parent / f"{name}.unfinished" for name in ("old", "new"))
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (1e9, 1e9))
    room.make_room(warm, None)
    assert not old.exists()
    assert new.exists()


def test_clearing_removes_entries_and_nothing_else(warm):
    kept = [warm / "mine.txt", files(warm)[0].parent / "mine.nii.gz"]
    for path in kept:
        path.write_text("mine")
    assert room.clear(warm)[0] == SLICES
    assert sorted(path for path in warm.rglob("*") if path.is_file()) == sorted([*kept, warm / "CACHEDIR.TAG"])


def test_a_cache_that_is_removed_while_it_is_used_fills_again(tmp_path):
    folder, entry = tmp_path / "kept", {"a": np.ones(3, np.float32)}
    keys = ["ab1", "ab2", "ab3"]
    with warnings.catch_warnings(), FeatureStore(folder) as store:
        warnings.simplefilter("error")
        for key in keys:
            store.write(key, lambda: entry)
            store.close()  # waits
            if key == "ab1":
                shutil.rmtree(folder)
    assert [store.read(key) is not None for key in keys] == [False, False, True]
    assert store.left_out == 1


def test_clearing_a_folder_that_is_no_cache_leaves_its_empty_folders(tmp_path):
    (tmp_path / "ab").mkdir()
    assert room.clear(tmp_path) == (0, 0)
    assert (tmp_path / "ab").is_dir()


# Arrays


def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    plain = random.normal(size=(1, 5, 3, 7)).astype(np.float32)
    coarse = (plain.view(np.uint32) & 0xFFFF0000).view(np.float32)  # values that bfloat16 holds
    return {
        "plain": plain,
        "channels last": np.ascontiguousarray(plain.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "cut out": plain[:, 1:4, ::2, 1:],
        "bfloat16": coarse,
        "bfloat16, channels last": np.ascontiguousarray(coarse.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "not numbers": np.float32([np.nan, -np.inf, -0.0, 1e-45]),
        "half": plain.astype(np.float16),
        "bool": plain > 0,
        "whole": np.int64([[1, -2]]),
        "one": np.array(3, np.uint8),
        "none": np.zeros((0, 4), np.float32),
    }


def read_back(folder: Path, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with FeatureStore(folder) as store:
        store.write("ab12", lambda: given)
    found = FeatureStore(folder).read("ab12")
    assert found is not None
    return found


@pytest.mark.parametrize("name", arrays())
def test_an_array_comes_back_to_the_bit_with_its_axes_in_order(tmp_path, name):
    given = arrays()[name]
    found = read_back(tmp_path, arrays())[name]
    assert (found.dtype, found.shape, found.tobytes()) == (given.dtype, given.shape, given.tobytes())
    real = [axis for axis in range(given.ndim) if given.shape[axis] > 1]
    assert (
        np.argsort([-abs(found.strides[a]) for a in real]).tolist()
        == np.argsort([-abs(given.strides[a]) for a in real], kind="stable").tolist()
    )
    assert found.ctypes.data % ALIGNED == 0
    assert found.flags.writeable


def test_values_that_bfloat16_holds_take_two_bytes(tmp_path):
    many = np.arange(4096, dtype=np.float32) * 2**20
    read_back(tmp_path / "coarse", {"x": (many.view(np.uint32) & 0xFFFF0000).view(np.float32)})
    read_back(tmp_path / "fine", {"x": many + np.float32(0.1)})
    coarse, fine = (files(tmp_path / name)[0].stat().st_size for name in ("coarse", "fine"))
    assert coarse < 0.55 * fine


def test_only_its_owner_may_read_what_derives_from_a_patients_images(warm):
    assert {path.stat().st_mode & 0o077 for path in [warm, *files(warm), files(warm)[0].parent]} == {0}


# Threads


def test_writing_does_not_wait_and_closing_waits_for_all(tmp_path):
    go = threading.Event()
    store = FeatureStore(tmp_path)

    def slow() -> dict[str, np.ndarray]:
        go.wait(20)
        return {"x": np.zeros(3)}

    for number in range(WAITING + 4):
        store.write(f"{number:04x}", slow)
    assert not files(tmp_path)
    go.set()
    store.close()
    assert len(files(tmp_path)) == WAITING
    assert store.left_out == 4


def test_leaving_a_store_by_ctrl_c_leaves_no_thread_and_no_half_entry(tmp_path):
    before = set(threading.enumerate())
    store = FeatureStore(tmp_path)
    for number in range(WAITING):
        store.write(f"{number:04x}", lambda: {"x": np.zeros(300_000)})
    with pytest.raises(KeyboardInterrupt), store:
        raise KeyboardInterrupt
    assert set(threading.enumerate()) == before
    assert not list(tmp_path.rglob("*.unfinished"))
    reader = FeatureStore(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in files(tmp_path):
            assert reader.read(path.parent.name + path.stem) is not None
