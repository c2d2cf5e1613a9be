import numpy as np

from voxtrace.postprocess import fill_holes, largest_component, remove_small, settle_overlaps


def test_largest_component_drops_a_piece_that_touches_by_a_corner_only():
    mask = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]], bool)
    assert np.array_equal(largest_component(mask), [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_largest_component_of_nothing_is_nothing():
    assert not largest_component(np.zeros((2, 3, 4), bool)).any()


def test_remove_small_counts_voxels_of_each_piece():
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]], bool)
    assert np.array_equal(remove_small(mask, 2), [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0]])
    assert remove_small(mask, 3).sum() == 3


def test_fill_holes_leaves_larger_holes_open():
    ring = np.ones((5, 9), bool)
    ring[1, 1] = ring[2, 4:7] = False
    assert fill_holes(ring).all()
    assert np.array_equal(np.argwhere(~fill_holes(ring, 2)), [[2, 4], [2, 5], [2, 6]])


def test_a_bay_open_to_the_border_is_no_hole():
    bay = np.ones((3, 4), bool)
    bay[1, 2:] = False
    assert np.array_equal(fill_holes(bay), bay)


def test_overlap_goes_to_the_larger_logit_and_to_the_first_of_equal_ones():
    first, second = np.float32([[3, 1, -2, 2]]), np.float32([[1, 4, -1, 2]])
    assert np.array_equal(settle_overlaps({1: first, 2: second}), [[1, 2, 0, 1]])


def test_a_locked_object_keeps_its_voxels_whatever_the_logits():
    strong = np.float32([[50, 50, 50]])
    assert np.array_equal(settle_overlaps({1: strong}, {2: np.array([[False, True, False]])}), [[1, 2, 1]])


def test_labels_above_255_take_two_bytes():
    assert settle_overlaps({255: np.ones((1, 1))}).dtype == np.uint8
    assert settle_overlaps({256: np.ones((1, 1))}).dtype == np.uint16
