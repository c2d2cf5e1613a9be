"""Sessions whose engine is shown a window around the object."""

import numpy as np
import pytest

from blocks import BOX_A, session
from fake_engine import FakeEngine
from voxtrace.courses import EDGE
from voxtrace.prompts import Box, Point
from voxtrace.view import Square, Whole
from voxtrace.volume import Volume


def test_an_object_is_seen_through_its_own_window():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:, 40:52, 60:76] = 100
    result = session(engine, Volume(array)).add(Box.on_slice(1, 40, 60, 52, 76)).run()
    assert set(result.views["object 1"].values()) == {Square(y=30, x=52, side=32)}
    assert set(engine.encoded_shapes) == {(32, 32, 3)}
    assert np.array_equal(result.mask(1), array > 0)


def test_a_click_looks_at_the_whole_frame_to_learn_the_size():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:, 40:52, 60:76] = 100
    result = session(engine, Volume(array)).add(Point(1, 45, 65)).run()
    assert engine.encoded_shapes == [(90, 120, 3)] + 4 * [(32, 32, 3)]
    assert np.array_equal(result.mask(1), array > 0)


def test_a_window_that_is_too_small_grows():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:2, 40:52, 60:76] = 100
    array[2:, 40:52, 42:76] = 100
    result = session(engine, Volume(array)).add(Box.on_slice(1, 40, 60, 52, 76)).run()
    assert [result.views["object 1"][z].side for z in (1, 2)] == [32, 48]
    assert np.array_equal(result.mask(1), array > 0)
    assert all(stop.reason == EDGE for stop in result.stops["object 1"])


def test_objects_with_equal_windows_share_features():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:, 40:52, 60:76] = 100
    box = Box.on_slice(1, 40, 60, 52, 76)
    session(engine, Volume(array)).add(box, "a").add(box, "b").run()
    assert engine.encoded == 4


def test_a_correction_keeps_the_window_of_the_run_it_corrects():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:2, 40:52, 60:76] = 100
    array[2:, 40:52, 42:76] = 100
    work = session(engine, Volume(array)).add(Box.on_slice(1, 40, 60, 52, 76))
    view = work.run().views
    encoded = engine.encoded
    assert work.correct(Point(2, 45, 45, positive=False)).run().views == view
    assert engine.encoded == encoded


@pytest.mark.parametrize("positive", [True, False])
def test_a_correction_outside_the_window_of_the_run_gets_a_window_that_holds_it(positive):
    engine = FakeEngine(zoom=1.5)
    array = np.zeros((3, 60, 80), np.uint8)
    array[:, 9:19, 9:19] = 100
    work = session(engine, Volume(array)).add(Box.on_slice(1, 9, 9, 19, 19))
    assert work.run().views["object 1"][1] == Square(y=6, x=6, side=16)
    result = work.correct(Point(1, 44, 34, positive=positive)).run()
    view, asked = result.views["object 1"][1], engine.begun[-1][0]
    assert view.holds((34, 44, 35, 45))
    assert view.holds((9, 9, 19, 19))
    side = getattr(view, "side", 80)
    assert ((asked.points_xy >= 0) & (asked.points_xy <= side)).all()


def test_a_window_holds_negative_points_beside_a_box_too():
    engine = FakeEngine(zoom=1.5)
    array = np.zeros((3, 60, 80), np.uint8)
    array[:, 9:19, 9:19] = 100
    box, outside = Box.on_slice(1, 9, 9, 19, 19), Point(1, 12, 26, positive=False)
    view = session(engine, Volume(array)).add([box, outside]).run().views["object 1"][1]
    points_xy = engine.begun[0][0].points_xy
    assert view.holds((9, 9, 19, 19))
    assert ((points_xy >= 0) & (points_xy <= view.side)).all()


def test_zoom_can_be_switched_off():
    result = session(FakeEngine(zoom=2.0), zoom=None).add(BOX_A).run()
    assert set(result.views["object 1"].values()) == {Whole()}
