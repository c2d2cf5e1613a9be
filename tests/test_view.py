import numpy as np
import pytest

from voxtrace.engine import NO_OBJECT_LOGIT
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt
from voxtrace.view import Square, Whole, grown, union, view_around

FRAME = (100, 140)


def test_a_window_is_zoom_times_the_larger_side_around_the_middle():
    assert view_around((60, 40, 80, 50), FRAME, 2.0) == Square(y=25, x=50, side=40)


def test_a_window_moves_into_the_frame():
    assert view_around((0, 90, 20, 100), FRAME, 2.0) == Square(y=60, x=0, side=40)


def test_a_window_is_at_least_16_pixels():
    assert view_around((70, 50, 72, 52), FRAME, 2.0) == Square(y=43, x=63, side=16)


def test_a_window_no_larger_than_the_larger_side_sticks_out_on_the_shorter_one():
    assert view_around((0, 0, 60, 10), (40, 140), 2.0) == Square(y=-40, x=0, side=120)


def test_a_window_that_covers_nearly_all_shows_the_whole_frame():
    assert view_around((10, 10, 79, 79), FRAME, 2.0) == Whole()


@pytest.mark.parametrize(("extent", "zoom"), [(None, 2.0), ((1, 1, 5, 5), None)])
def test_without_extent_or_zoom_the_whole_frame_is_shown(extent, zoom):
    assert view_around(extent, FRAME, zoom) == Whole()


def test_what_sticks_out_is_cropped_as_zeros_and_pasted_as_nothing():
    view = Square(y=-1, x=2, side=4)
    frame = np.arange(1, 16).reshape(3, 5)
    crop = view.crop(frame)
    assert np.array_equal(crop, [[0, 0, 0, 0], [3, 4, 5, 0], [8, 9, 10, 0], [13, 14, 15, 0]])
    pasted = view.paste(crop.astype(np.float32), (3, 5))
    assert np.array_equal(pasted[:, 2:], frame[:, 2:])
    assert (pasted[:, :2] == NO_OBJECT_LOGIT).all()


def test_a_prompt_moves_with_the_window():
    mask = np.zeros(FRAME, bool)
    mask[22, 31] = True
    prompt = FramePrompt(np.float32([[30, 20], [35, 28]]), np.int32([BOX_START, BOX_STOP]), mask)
    moved = Square(y=20, x=25, side=16).move(prompt)
    assert np.array_equal(moved.points_xy, [[5, 0], [10, 8]])
    assert np.array_equal(np.argwhere(moved.mask), [[2, 6]])


@pytest.mark.parametrize(("pixel", "cut"), [((4, 5), True), ((7, 5), True), ((5, 3), True), ((5, 5), False)])
def test_a_mask_is_cut_where_it_touches_an_inner_border(pixel, cut):
    inside = np.zeros((10, 7), bool)
    inside[pixel] = True
    assert Square(y=4, x=3, side=4).cuts(inside) == cut


def test_the_border_of_the_frame_itself_does_not_count():
    inside = np.zeros((10, 7), bool)
    inside[5, 6] = inside[9, 5] = True
    assert not Square(y=4, x=1, side=6).cuts(inside)


def test_a_window_grows_by_half_until_it_is_the_whole_frame():
    view = grown(Square(y=30, x=40, side=40), FRAME)
    assert view == Square(y=20, x=30, side=60)
    assert grown(grown(view, FRAME), FRAME) == Whole()
    assert grown(Whole(), FRAME) == Whole()


def test_union_spans_all_extents():
    assert union([(3, 4, 5, 6), (1, 5, 2, 9)]) == (1, 4, 5, 9)
    assert union([]) is None
