"""The next frame is encoded in another thread while this one is followed: same results, faults in their place."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from fake_engine import FakeEngine, FakeFeatures
from voxtrace.courses import EDGE, Course
from voxtrace.feature_cache import FeatureCache
from voxtrace.memory import Fifo
from voxtrace.prompts import FramePrompt
from voxtrace.tracking import EndOfObject, Tracked, Walk, begin, propagate
from voxtrace.view import Square, Whole

SLICES, WAIT_S = 9, 20


class AheadEngine(FakeEngine):
    """Counts the threads in `encode`; raises at the grey value `fault` of a frame's first pixel."""

    ahead = True

    def __init__(self, fault: int = -1) -> None:
        super().__init__()
        self.fault = fault
        self.inside = self.most_inside = 0
        self.encoded_in: set[str] = set()

    def encode(self, frames: Sequence[np.ndarray]) -> list[FakeFeatures]:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        self.encoded_in.add(threading.current_thread().name)
        try:
            if frames[0][0, 0, 0] == self.fault:
                raise RuntimeError(f"slice {self.fault}")
            return super().encode(frames)
        finally:
            self.inside -= 1


class Meeting(AheadEngine):
    """Its `follow` ends only when the frame after has been begun to encode."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = [threading.Event() for _ in range(SLICES + 1)]
        self.seen[SLICES].set()
        self.met: list[bool] = []

    def encode(self, frames: Sequence[np.ndarray]) -> list[FakeFeatures]:
        self.seen[int(frames[0][0, 0, 0])].set()
        return super().encode(frames)

    def follow(self, features, recalled):
        self.met.append(self.seen[int(features.grey[0, 0]) + 1].wait(WAIT_S))
        return super().follow(features, recalled)


def slices(until: int = SLICES) -> list[np.ndarray]:
    """A block that is there on slices below `until`; the first pixel tells the slice."""
    array = np.zeros((SLICES, 20, 24, 3), np.uint8)
    array[:until, 6:10, 8:12] = 150
    array[:, 0, 0] = np.arange(SLICES)[:, None]
    return list(array)


def walks(features: FeatureCache, start: int = 0, stop: EndOfObject | None = None) -> list[Walk]:
    mask = np.zeros((20, 24), bool)
    mask[6:10, 8:12] = True
    marked = begin(features, start, Whole(), {0: FramePrompt(mask=mask)})
    courses = [Course(start, 1, range(start + 1, SLICES), EDGE), Course(start, -1, range(start - 1, -1, -1), EDGE)]
    return [Walk(0, marked, course, stop) for course in courses if len(course.order)]


def outcome(engine: FakeEngine, frames: Sequence[np.ndarray], start: int = 0, stop: EndOfObject | None = None) -> list:
    features = FeatureCache(engine, frames)
    events = propagate(features, walks(features, start, stop), Fifo())
    return [(e.frame, e.logits.tobytes()) if isinstance(e, Tracked) else e for e in events]


def test_the_next_frame_is_encoded_while_this_one_is_followed():
    engine = Meeting()
    outcome(engine, slices())
    assert engine.met == [True] * (SLICES - 1)


@pytest.mark.parametrize("stop", [None, EndOfObject(2)], ids=["to the end", "till it ends"])
def test_what_is_found_is_the_same_and_no_frame_is_encoded_twice(stop):
    plain, ahead = FakeEngine(), AheadEngine()
    assert outcome(ahead, slices(6), 3, stop) == outcome(plain, slices(6), 3, stop)
    assert ahead.encoded <= SLICES
    assert ahead.most_inside == 1
    assert {name.startswith("voxtrace-encoding-ahead") for name in ahead.encoded_in} == {True, False}


def test_a_walk_that_ends_early_encodes_at_most_one_frame_in_vain():
    plain, ahead = FakeEngine(), AheadEngine()
    for engine in (plain, ahead):
        outcome(engine, slices(4), 1, EndOfObject(1))
    assert plain.encoded <= ahead.encoded <= plain.encoded + 1
    assert ahead.encoded < SLICES


@pytest.mark.parametrize("where", ["encoding", "reading"])
def test_a_fault_is_raised_where_its_frame_is_asked_for(where):
    class Broken(list):
        def __getitem__(self, index):
            if index == 5:
                raise RuntimeError("slice 5")
            return super().__getitem__(index)

    engine = AheadEngine(fault=5 if where == "encoding" else -1)
    features = FeatureCache(engine, slices() if where == "encoding" else Broken(slices()))
    seen = []
    with pytest.raises(RuntimeError, match="slice 5"):
        seen.extend(event.frame for event in propagate(features, walks(features), Fifo()))
    seen = []
    events = propagate(features, walks(features), Fifo())
    for _ in range(4):
        seen.append(next(events).frame)
    assert seen == [1, 2, 3, 4], "what comes before the fault is found"
    with pytest.raises(RuntimeError, match="slice 5"):
        next(events)


def test_a_fault_that_nobody_asks_for_is_none():
    engine = AheadEngine(fault=5)
    frames = slices(3)  # it ends with patience 2 on slice 4, when 5 has been begun
    assert outcome(engine, frames, 0, EndOfObject(2)) == outcome(FakeEngine(), frames, 0, EndOfObject(2))


@pytest.mark.parametrize("end", ["whole", "abandoned", "fault", "ctrl-c"])
def test_no_thread_is_left_however_it_ends(end):
    before = set(threading.enumerate())
    features = FeatureCache(AheadEngine(fault=5 if end == "fault" else -1), slices())
    events = propagate(features, walks(features), Fifo())
    next(events)
    assert set(threading.enumerate()) > before
    if end == "abandoned":
        events.close()
    elif end == "ctrl-c":
        with pytest.raises(KeyboardInterrupt):
            events.throw(KeyboardInterrupt())
    elif end == "fault":
        with pytest.raises(RuntimeError):
            list(events)
    else:
        list(events)
    assert set(threading.enumerate()) == before


class Slow(AheadEngine):
    """So slow that two encodings at once would meet."""

    def encode(self, frames: Sequence[np.ndarray]) -> list[FakeFeatures]:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        time.sleep(0.01)
        self.inside -= 1
        return FakeEngine.encode(self, frames)


def test_several_windows_are_encoded_ahead_each_and_never_two_at_once():
    features = FeatureCache(engine := Slow(), slices())
    views = [Square(y, 0, 16) for y in range(5)]
    for frame in range(3):
        for view in views:
            assert np.array_equal(features(view, frame, ahead=[frame + 1]).grey, view.crop(slices()[frame])[..., 0])
    features.rest()
    assert engine.most_inside == 1
    assert engine.encoded <= 4 * len(views)


def test_what_was_encoded_ahead_in_vain_does_not_pile_up():
    def alive() -> int:
        gc.collect()
        return sum(isinstance(one, FakeFeatures) for one in gc.get_objects())

    before = alive()
    features = FeatureCache(AheadEngine(), slices(), size=2)
    for number in range(50):  # a window that moves at every frame
        features(Square(number, 0, 16), number % 8, ahead=[number % 8 + 1])
        time.sleep(0.002)
    assert alive() - before <= 2 + 3
    features.rest()
