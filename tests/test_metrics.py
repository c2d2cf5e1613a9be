"""Figures of one object and of label maps: facts worked out by hand."""

from dataclasses import astuple

import numpy as np
import pytest

from phantoms import ellipsoid, labels
from voxtrace.errors import GeometryError, InputError
from voxtrace.eval.boundary import boundary
from voxtrace.eval.metrics import Scores, dice, iou, mean_scores, score, score_labels

SPACING_MM = (3.0, 1.0, 2.0)
PERFECT = Scores(dsc=1, iou=1, nsd=1, hd95=0, assd=0, hd=0)
NOTHING_RIGHT = Scores(dsc=0, iou=0, nsd=0, hd95=np.inf, assd=np.inf, hd=np.inf)


def plate(z: int) -> np.ndarray:
    """(9, 6, 7) bool: one slice of one voxel's thickness, away from the array's border."""
    mask = np.zeros((9, 6, 7), bool)
    mask[z, 1:5, 2:6] = True
    return mask


def test_two_plates_three_slices_apart():
    """Half of each surface is 2 slices from the other plate, half is 3."""
    found = score(plate(2), plate(5), SPACING_MM, tolerance_mm=6)
    expected = Scores(dsc=0, iou=0, nsd=0.5, hd95=9, assd=7.5, hd=9)
    assert astuple(found) == pytest.approx(astuple(expected))


def test_mask_and_reference_may_change_places():
    mask, truth = plate(5) | plate(6), plate(2)
    assert astuple(score(mask, truth, SPACING_MM)) == pytest.approx(astuple(score(truth, mask, SPACING_MM)))


def test_spacing_is_in_array_order():
    turned = score(plate(2), plate(5), SPACING_MM[::-1], tolerance_mm=6)
    assert astuple(turned) == pytest.approx((0, 0, 1, 6, 5, 6))


def test_tolerance_is_inclusive():
    edges = boundary(plate(2), plate(5), SPACING_MM)
    assert [edges.nsd(t) for t in (5.99, 6, 8.99, 9)] == pytest.approx([0, 0.5, 0.5, 1])


def test_a_percentile_that_the_area_reaches_exactly_takes_no_farther_element():
    edges = boundary(plate(2), plate(5), SPACING_MM)
    assert [edges.hausdorff(p) for p in (50, 50.01, 100)] == [6, 9, 9]


def test_the_robust_hausdorff_distance_is_the_worse_direction():
    """A small piece that only the mask has is far from the reference; all of the reference is in the mask."""
    near, far = plate(2), np.zeros((9, 6, 7), bool)
    far[7, 3, 4] = True
    assert (
        boundary(near | far, near, SPACING_MM).hausdorff() == boundary(near, near | far, SPACING_MM).hausdorff() == 15
    )


def test_two_squares_in_a_picture():
    """Squares of 2 x 2 pixels, the second 3 pixels to the right: the left side of the first is farthest."""
    first, second = np.zeros((2, 5, 9), bool)
    first[1:3, 1:3], second[1:3, 4:6] = True, True
    found = score(first, second, (0.5, 2.0), tolerance_mm=2)
    assert found.hd == 6
    assert score(first, second, (2.0, 0.5), tolerance_mm=2).hd == 1.5


def test_overlap_by_counting():
    mask, truth = np.array([[1, 1, 1, 0, 0]]), np.array([[0, 1, 1, 1, 1]])
    assert dice(mask, truth) == 4 / 7
    assert iou(mask, truth) == 2 / 5
    assert score(mask, truth, (1, 1)).iou == 2 / 5


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5), (1, 4, 5)])
def test_two_empty_masks_agree_and_one_empty_mask_is_wholly_wrong(shape):
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    spacing = SPACING_MM[: len(shape)]
    assert score(empty, empty, spacing) == score(full, full, spacing) == PERFECT
    assert score(empty, full, spacing) == score(full, empty, spacing) == NOTHING_RIGHT


def test_an_object_at_the_border_scores_as_inside_a_larger_array():
    mask, truth = ellipsoid((6, 7, 9), (0, 3, 8), (4, 3, 4)), ellipsoid((6, 7, 9), (1, 3, 8), (4, 3, 3))
    padded = (np.pad(m, ((3, 2), (1, 0), (4, 5))) for m in (mask, truth))
    assert astuple(score(mask, truth, SPACING_MM)) == pytest.approx(astuple(score(*padded, SPACING_MM)))


def test_any_number_above_zero_is_inside():
    mask, truth = plate(2), plate(3)
    assert score(mask * np.uint16(300), truth * np.int64(7), SPACING_MM) == score(mask, truth, SPACING_MM)


def test_the_reference_and_the_mask_are_left_as_they_were():
    mask, truth = labels(), np.roll(labels(), 1, axis=2)
    before = mask.copy(), truth.copy()
    score_labels(mask, truth, SPACING_MM)
    assert np.array_equal(mask, before[0])
    assert np.array_equal(truth, before[1])


def test_a_label_scores_as_its_mask_alone():
    mask, truth = labels((8, 9, 10)), np.roll(labels((8, 9, 10)), (1, 0, -1), (0, 1, 2))
    found = score_labels(mask, truth, SPACING_MM, tolerance_mm=1.5)
    assert found == {n: score(mask == n, truth == n, SPACING_MM, tolerance_mm=1.5) for n in (1, 2)}


def test_a_label_of_one_map_alone_is_wrong_and_one_of_neither_is_right():
    mask, truth = labels(), labels()
    mask[mask == 2], truth[truth == 1] = 5, 3
    assert score_labels(mask, truth, SPACING_MM) == dict.fromkeys((1, 2, 3, 5), NOTHING_RIGHT)
    assert score_labels(mask, mask, SPACING_MM, labels=[5, 4]) == {5: PERFECT, 4: PERFECT}


def test_large_label_numbers_score_as_small_ones():
    mask, truth = labels().astype(np.int64), np.roll(labels(), 1, axis=1).astype(np.int64)
    small = score_labels(mask, truth, SPACING_MM)
    large = score_labels(mask * 10**10, truth * 10**10, SPACING_MM)
    assert large == {label * 10**10: found for label, found in small.items()}


def test_a_map_without_background():
    every = np.where(labels() == 2, 10**9, 1)
    assert score_labels(every, every, SPACING_MM) == {1: PERFECT, 10**9: PERFECT}


def test_a_case_is_the_mean_of_its_objects_and_infinite_if_one_is():
    half = Scores(dsc=0.5, iou=1 / 3, nsd=0.25, hd95=4, assd=2, hd=8)
    assert mean_scores([PERFECT, half]) == Scores(dsc=0.75, iou=2 / 3, nsd=0.625, hd95=2, assd=1, hd=4)
    assert mean_scores([PERFECT, NOTHING_RIGHT]) == Scores(0.5, 0.5, 0.5, np.inf, np.inf, np.inf)
    with pytest.raises(InputError, match="no objects"):
        mean_scores([])


@pytest.mark.parametrize("figures", [dice, iou, lambda mask, truth: score(mask, truth, SPACING_MM)])
def test_masks_of_different_shapes_are_refused_even_where_numpy_would_stretch_one(figures):
    with pytest.raises(InputError, match=r"\(9, 6, 7\).*\(1, 6, 7\).*one grid"):
        figures(plate(2), plate(2)[:1])


@pytest.mark.parametrize("spacing", [(1.0, 2.0), (1.0, 2.0, 3.0, 4.0), 1.0])
def test_a_spacing_for_another_number_of_axes_is_refused(spacing):
    with pytest.raises(GeometryError, match=r"3 axes.*\(z, y, x\) in mm"):
        score(plate(2), plate(3), spacing)


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_a_spacing_that_is_no_length_is_refused(wrong):
    with pytest.raises(GeometryError, match="above 0"):
        score(plate(2), plate(3), (3.0, wrong, 2.0))


@pytest.mark.parametrize("wrong", [-0.5, np.nan])
def test_a_tolerance_that_is_no_distance_is_refused(wrong):
    with pytest.raises(InputError, match="tolerance"):
        score(plate(2), plate(3), SPACING_MM, tolerance_mm=wrong)


def test_values_that_are_no_labels_are_refused():
    with pytest.raises(InputError, match=r"mask holds float64.*threshold"):
        score(plate(2) * 0.3, plate(2), SPACING_MM)
    with pytest.raises(InputError, match="reference holds the label -1"):
        score_labels(labels(), labels().astype(int) - 1, SPACING_MM)
    with pytest.raises(InputError, match="label 0"):
        score_labels(labels(), labels(), SPACING_MM, labels=[0, 1])
    with pytest.raises(InputError, match="1 axes"):
        score(plate(2)[2, 2], plate(2)[2, 2], (1.0,))
