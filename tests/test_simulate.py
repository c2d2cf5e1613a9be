"""Marks made from a mask are where a person would put them, and repeat with the generator."""

import numpy as np
import pytest

from voxtrace import simulate
from voxtrace.errors import PromptError


def ellipse(shape=(60, 80), centre=(25, 45), radii=(10, 24)) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_box_without_jitter_is_the_half_open_bounding_box():
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:10] = True
    assert simulate.box(mask, 0.0, rng()) == (2, 3, 5, 10)


def test_jittered_box_moves_each_side_by_at_most_the_share_and_stays_inside():
    mask, generator = ellipse(centre=(10, 45)), rng()
    exact = np.array(simulate.box(mask, 0.0, generator))
    boxes = np.array([simulate.box(mask, 0.1, generator) for _ in range(300)])
    assert (np.abs(boxes - exact) <= np.ceil([2.1, 4.9, 2.1, 4.9])).all()
    assert (boxes.min(0) >= 0).all()
    assert (boxes.std(0) > 0.3).all()


def test_box_of_a_single_pixel_keeps_a_size():
    mask = np.zeros((5, 7), bool)
    mask[4, 6] = True
    y0, x0, y1, x1 = simulate.box(mask, 0.5, rng())
    assert y1 > y0
    assert x1 > x0


def test_centre_click_is_the_deepest_pixel():
    assert simulate.clicks(ellipse(), 1, rng()).tolist() == [[25, 45]]


def test_centre_clicks_are_inside_and_apart():
    mask = ellipse()
    places = simulate.clicks(mask, 4, rng())
    assert mask[tuple(places.T)].all()
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)[np.triu_indices(4, 1)]
    assert apart.min() > 3


def test_random_clicks_are_inside_and_differ():
    mask = ellipse()
    places = simulate.clicks(mask, 6, rng(), how="random")
    assert mask[tuple(places.T)].all()
    assert len({tuple(p) for p in places.tolist()}) == 6


def test_more_clicks_than_pixels_are_still_given():
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    assert simulate.clicks(mask, 3, rng(), how="random").tolist() == [[2, 3]] * 3
    assert simulate.clicks(mask, 3, rng()).tolist() == [[2, 3]] * 3


def test_correction_is_positive_where_the_object_is_missed():
    truth, guess = ellipse(), ellipse()
    guess[:, 45:] = False
    (y, x), positive = simulate.correction_click(truth, guess, rng())
    assert positive
    assert truth[y, x]
    assert not guess[y, x]


def test_correction_is_negative_where_too_much_was_taken():
    truth, guess = ellipse(), ellipse()
    guess[40:58, 2:20] = True
    truth[25, 45] = False
    assert simulate.correction_click(truth, guess, rng())[1] is False


def test_correction_goes_to_the_largest_of_several_errors():
    truth = np.zeros((40, 50), bool)
    truth[2:6, 2:6] = truth[20:35, 10:30] = True
    (y, x), positive = simulate.correction_click(truth, np.zeros_like(truth), rng())
    assert positive
    assert (20 <= y < 35, 10 <= x < 30) == (True, True)


def test_correction_of_a_perfect_mask_clicks_its_middle():
    assert simulate.correction_click(ellipse(), ellipse(), rng()) == ((25, 45), True)


def test_scribble_stays_inside_and_runs_along_the_object():
    mask = ellipse()
    line = simulate.scribble(mask, rng())
    assert not (line & ~mask).any()
    columns = np.flatnonzero(line.any(0))
    assert columns[-1] - columns[0] > 30


def test_scribble_in_one_pixel_is_that_pixel():
    mask = np.zeros((5, 7), bool)
    mask[2, 3] = True
    assert np.array_equal(simulate.scribble(mask, rng()), mask)


def test_recist_of_a_tilted_rectangle_is_its_diagonal_found_by_brute_force():
    mask = np.zeros((40, 40), bool)
    y, x = np.mgrid[:40, :40]
    mask[(np.abs((y - 20) * 0.8 + (x - 18) * 0.6) < 12) & (np.abs((x - 18) * 0.8 - (y - 20) * 0.6) < 5)] = True
    places = np.argwhere(mask)
    longest = np.sqrt(((places[:, None] - places[None]) ** 2).sum(-1)).max()
    (start, stop), (one, other) = simulate.recist(mask)
    assert np.hypot(*np.subtract(stop, start)) == pytest.approx(longest)
    assert np.dot(np.subtract(stop, start), np.subtract(other, one)) == pytest.approx(0, abs=1e-9)


def test_recist_of_an_ellipse_has_its_two_axes():
    (start, stop), (one, other) = simulate.recist(ellipse(radii=(10, 24)))
    assert np.hypot(*np.subtract(stop, start)) == pytest.approx(48)
    assert np.hypot(*np.subtract(other, one)) == pytest.approx(20, abs=0.5)


def test_recist_of_a_row_of_pixels_has_no_width():
    mask = np.zeros((5, 9), bool)
    mask[2, 1:8] = True
    assert simulate.recist(mask) == (((2, 1), (2, 7)), ((2, 4), (2, 4)))


def test_same_seed_gives_the_same_marks():
    mask = ellipse()
    one, other = rng(), rng()
    assert simulate.box(mask, 0.1, one) == simulate.box(mask, 0.1, other)
    assert np.array_equal(simulate.scribble(mask, one), simulate.scribble(mask, other))


@pytest.mark.parametrize(
    "make", [lambda m: simulate.box(m, 0.1, rng()), lambda m: simulate.clicks(m, 1, rng()), simulate.recist]
)
def test_empty_mask_is_refused(make):
    with pytest.raises(PromptError, match="0 pixels"):
        make(np.zeros((5, 7), bool))
