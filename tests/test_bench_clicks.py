"""The next click is where the published script puts it: by hand, and as its rule says with its own tools."""

import numpy as np
import pytest
from scipy import ndimage

from voxtrace.bench.clicks import Click, next_click

cc3d = pytest.importorskip("cc3d", reason="connected-components-3d is not installed (voxtrace[test])")


def written_out(mask: np.ndarray, truth: np.ndarray) -> Click:
    """The published rule on whole arrays: cc3d with 26 neighbours, the transform over a frame of zeros, seed 42."""
    wrong = (mask != truth).astype(np.uint8)
    pieces = cc3d.connected_components(wrong, connectivity=26)
    sizes = np.bincount(pieces.flat)
    sizes[0] = 0
    depth = ndimage.distance_transform_edt(np.pad(pieces == np.argmax(sizes), 3))[3:-3, 3:-3, 3:-3]
    deepest = np.argwhere(depth == depth.max())
    np.random.seed(42)
    z, y, x = deepest[np.random.choice(len(deepest))].tolist()
    return Click(z, y, x, bool(truth[z, y, x]))


def block(*where: slice, shape=(9, 12, 15)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[where] = True
    return mask


def test_missed_object_is_clicked_in_its_middle():
    truth = block(slice(2, 7), slice(3, 8), slice(4, 9))
    assert next_click(np.zeros_like(truth), truth) == Click(4, 5, 6, True)


def test_added_voxels_are_clicked_as_not_the_object():
    truth = block(slice(0, 1), slice(0, 1), slice(0, 1))
    mask = truth | block(slice(3, 8), slice(4, 9), slice(6, 11))
    assert next_click(mask, truth) == Click(5, 6, 8, False)


def test_the_larger_of_two_errors_is_clicked():
    small, large = block(slice(1, 4), slice(1, 4), slice(1, 4)), block(slice(5, 8), slice(6, 9), slice(8, 13))
    click = next_click(np.zeros_like(small), small | large)
    assert (click.z, click.y) == (6, 7)


def test_missed_and_added_voxels_that_touch_are_one_error():
    truth = block(slice(2, 7), slice(2, 7), slice(1, 3))
    mask = block(slice(2, 7), slice(2, 7), slice(3, 6))  # beside it: 50 voxels missed, 75 added
    apart = block(slice(2, 7), slice(9, 12), slice(9, 15))  # 90 voxels: more than either, fewer than both
    assert next_click(mask, truth | apart) == Click(4, 4, 3, False)


def test_pieces_that_touch_at_a_corner_are_one():
    truth = block(slice(0, 2), slice(0, 2), slice(0, 2)) | block(slice(2, 4), slice(2, 4), slice(2, 4))
    truth |= block(slice(6, 9), slice(8, 11), slice(10, 11))  # 9 voxels, fewer than 16
    click = next_click(np.zeros_like(truth), truth)
    assert max(click.z, click.y, click.x) < 4


def test_the_edge_of_the_scan_counts_as_outside():
    truth = np.zeros((9, 12, 15), bool)
    truth[:5, :5, :5] = True
    assert next_click(np.zeros_like(truth), truth) == Click(2, 2, 2, True)


def test_nothing_wrong_needs_no_click():
    truth = block(slice(2, 4), slice(2, 4), slice(2, 4))
    assert next_click(truth.copy(), truth) is None


def test_a_picture_is_clicked_in_its_middle_not_anywhere():
    truth = np.zeros((1, 21, 31), bool)
    truth[0, 3:16, 8:21] = True
    assert next_click(np.zeros_like(truth), truth) == Click(0, 9, 14, True)


@pytest.mark.parametrize("seed", range(12))
def test_clicks_on_frozen_cases_equal_the_rule_written_out(seed):
    """Blobs of noise in odd shapes: many pieces of equal size and many equally deep voxels."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 26, 3))
    smooth = rng.uniform(0, 2.5)
    truth = ndimage.gaussian_filter(rng.normal(size=shape), smooth) > 0.05
    mask = ndimage.gaussian_filter(rng.normal(size=shape), smooth) > 0.05 if seed % 3 else np.zeros(shape, bool)
    assert next_click(mask, truth) == written_out(mask, truth)


def test_of_equally_large_errors_the_same_one_is_taken():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = np.zeros((7, 8, 9), bool)
        truth[tuple(rng.integers(0, s, 12) for s in truth.shape)] = True
        assert next_click(np.zeros_like(truth), truth) == written_out(np.zeros_like(truth), truth)
