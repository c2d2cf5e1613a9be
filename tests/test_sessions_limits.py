"""Boxes of several frames: they tell where an object may lie, and so how far it is followed."""

import numpy as np
import pytest

from fake_engine import FakeEngine
from voxtrace.courses import BOX_LIMIT, EDGE, MET, Course, plan, plan_onward
from voxtrace.prompts import Box, Point
from voxtrace.sessions import VideoSession, VolumeSession
from voxtrace.volume import Video, Volume

COLUMN = np.s_[6:12, 3:8]  # through all frames


def column(depth=35):
    array = np.zeros((depth, 20, 24), np.uint8)
    array[(slice(None), *COLUMN)] = 100
    return array


def box(first, stop):
    return Box(first, 6, 3, stop, 12, 8)


def frames_of(work):
    return np.flatnonzero(work.run().mask(1).any((1, 2))).tolist()


def volume_session():
    return VolumeSession(FakeEngine(), Volume(column()))


def video_session(**options):
    frames = [np.repeat(frame[..., None], 3, axis=2) for frame in column()]
    return VideoSession(FakeEngine(), Video(frames, (35, 20, 24), fps=25.0), **options)


@pytest.mark.parametrize("kind", [volume_session, video_session, lambda: video_session(backward=True)])
@pytest.mark.parametrize("together", [True, False])
def test_two_ranges_are_both_looked_through_and_nothing_between_them(kind, together):
    work = kind()
    boxes = [box(2, 10), box(20, 30)]
    for one in [boxes] if together else boxes:
        work.add(one)
    assert frames_of(work) == [*range(2, 10), *range(20, 30)]
    assert {stop.reason for stop in work.result.stops["object 1"]} == {BOX_LIMIT}


def test_a_longer_second_box_widens_the_range():
    assert frames_of(volume_session().add(box(8, 12)).add(box(5, 20))) == list(range(5, 20))


def test_a_box_after_a_click_limits_and_a_click_in_the_range_leaves_the_limits():
    assert frames_of(volume_session().add(Point(8, 8, 5)).add(box(5, 20))) == list(range(5, 20))
    assert frames_of(volume_session().add(box(5, 20)).add(Point(8, 8, 5))) == list(range(5, 20))


def test_a_click_outside_the_ranges_widens_the_nearer_one():
    work = volume_session().add([box(2, 10), box(20, 30), Point(17, 8, 5)])
    assert frames_of(work) == [*range(2, 10), *range(17, 30)]


def test_ranges_that_touch_are_one():
    courses = plan([5, 14], [range(10, 20), range(2, 10)], 35)
    assert [c.end for c in courses] == [BOX_LIMIT, MET, MET, BOX_LIMIT]
    assert sorted([5, 14, *(f for c in courses for f in c.order)]) == list(range(2, 20))


def test_a_range_up_to_the_last_frame_ends_at_the_edge():
    assert [c.end for c in plan([32], [range(30, 35)], 35)] == [BOX_LIMIT, EDGE]


def test_a_video_is_followed_both_ways_within_a_box():
    assert frames_of(video_session().add(box(10, 20))) == list(range(10, 20))


def test_a_video_within_a_box_is_walked_back_from_its_first_mark_and_onward_past_later_ones():
    back, onward = plan_onward([16, 13], [range(10, 20)], 35)
    assert back == Course(13, -1, range(12, 9, -1), BOX_LIMIT)
    assert onward == Course(13, 1, range(14, 20), BOX_LIMIT)
