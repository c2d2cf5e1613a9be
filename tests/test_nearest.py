"""Distances from surface to surface: against all pairs, by every way of finding them, and against surface-distance."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from voxtrace.eval import far
from voxtrace.eval.boundary import boundary
from voxtrace.eval.nearest import distances_mm
from voxtrace.eval.surface import surface

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 2.0), (0.7, 5.3, 1.1), (2.5, 0.4, 0.4)]


def random_masks(seed: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Two bool arrays of an uneven shape, none empty: noise, smooth blobs or boxes, by the seed."""
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(2, 20, dimensions))
    return one(seed, shape, random), one(seed, shape, random)


def one(seed: int, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    mask = np.zeros(shape, bool)
    if seed % 3 == 0:
        mask = random.random(shape) < random.uniform(0.05, 0.95)
    elif seed % 3 == 1:
        mask = ndimage.gaussian_filter(random.normal(size=shape), 1.5) > 0
    else:
        low = [int(random.integers(0, n)) for n in shape]
        mask[tuple(slice(a, int(random.integers(a + 1, n + 1))) for a, n in zip(low, shape, strict=True))] = True
    mask.flat[random.integers(mask.size)] = True
    return mask


def all_pairs(own, other, spacing) -> np.ndarray:
    """(n,) mm by comparing every element with every other."""
    points, others = (s.corners.T * np.array(spacing) for s in (own, other))
    return cdist(points, others).min(axis=1)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("seed", range(12))
def test_distances_are_those_of_all_pairs(seed, dimensions):
    spacing = SPACINGS[seed % 4][:dimensions]
    a, b = (surface(mask, spacing) for mask in random_masks(seed, dimensions))
    np.testing.assert_allclose(distances_mm(a, b, spacing), all_pairs(a, b, spacing), rtol=1e-12)


@pytest.mark.parametrize("voxel_ns", [0, np.inf], ids=["by transform", "by rows"])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("move", [(30, 0, 0), (2, 34, 3), (0, 1, 33), (9, 24, 26)])
def test_far_surfaces_are_found_either_way(monkeypatch, spacing, move, voxel_ns):
    """One mask beside, above or slantwise from the other, out of the near search's reach."""
    monkeypatch.setattr(far, "VOXEL_NS", voxel_ns)
    shape, random = (42, 44, 46), np.random.default_rng(3)
    mask, truth = np.zeros(shape, bool), np.zeros(shape, bool)
    mask[:11, :7, :9] = random.random((11, 7, 9)) < 0.3
    z, y, x = move
    truth[z : z + 9, y : y + 8, x : x + 12] = random.random((9, 8, 12)) < 0.2
    a, b = surface(mask, spacing), surface(truth, spacing)
    np.testing.assert_allclose(distances_mm(a, b, spacing), all_pairs(a, b, spacing), rtol=1e-12)
    np.testing.assert_allclose(distances_mm(b, a, spacing), all_pairs(b, a, spacing), rtol=1e-12)


@pytest.mark.parametrize("voxel_ns", [0, np.inf], ids=["by transform", "by rows"])
def test_far_contours_are_found_either_way(monkeypatch, voxel_ns):
    monkeypatch.setattr(far, "VOXEL_NS", voxel_ns)
    mask, truth = np.zeros((2, 90, 110), bool)
    mask[10:20, 5:30] = np.random.default_rng(5).random((10, 25)) < 0.4
    truth[60:80, 50:110] = np.random.default_rng(6).random((20, 60)) < 0.4
    a, b = surface(mask, (0.5, 1.5)), surface(truth, (0.5, 1.5))
    np.testing.assert_allclose(distances_mm(a, b, (0.5, 1.5)), all_pairs(a, b, (0.5, 1.5)), rtol=1e-12)


def test_a_bound_from_one_direction_does_not_hide_a_nearer_element_in_another(monkeypatch):
    """From above 23 voxels are known at first; the nearest is 21 away along y."""
    monkeypatch.setattr(far, "VOXEL_NS", np.inf)
    mask, truth = np.zeros((2, 52, 50, 6), bool)
    mask[25, 45, 3] = truth[48, 45, 3] = truth[25, 24, 3] = truth[1, 1, 1] = True
    a, b = (surface(m, (1, 1, 1)) for m in (mask, truth))
    assert distances_mm(a, b, (1, 1, 1)).min() == 20
    np.testing.assert_allclose(distances_mm(a, b, (1, 1, 1)), all_pairs(a, b, (1, 1, 1)), rtol=1e-12)


def test_nothing_to_go_to_is_infinitely_far():
    something, nothing = surface(np.ones((2, 3, 4)), (1, 1, 1)), surface(np.zeros((2, 3, 4)), (1, 1, 1))
    assert np.isposinf(distances_mm(something, nothing, (1, 1, 1))).all()
    assert distances_mm(nothing, something, (1, 1, 1)).shape == (0,)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("seed", range(30))
def test_figures_are_those_of_surface_distance(seed, dimensions):
    package = pytest.importorskip("surface_distance", reason="pip install 'voxtrace[test]'")
    spacing = SPACINGS[seed % 4][:dimensions] if seed % 2 else np.random.default_rng(seed).uniform(0.2, 6, dimensions)
    mask, truth = random_masks(100 + seed, dimensions)
    ours, theirs = boundary(mask, truth, spacing), package.compute_surface_distances(truth, mask, spacing)
    for tolerance_mm in (0.0, 1.0, 2.0, 3.0, 2 * float(spacing[0])):
        assert ours.nsd(tolerance_mm) == pytest.approx(
            package.compute_surface_dice_at_tolerance(theirs, tolerance_mm), abs=1e-12
        )
    for percentile in (90, 95, 99):
        assert ours.hausdorff(percentile) == package.compute_robust_hausdorff(theirs, percentile)
    areas = [theirs[name].sum() for name in ("surfel_areas_gt", "surfel_areas_pred")]
    assert ours.assd() == pytest.approx(
        np.average(package.compute_average_surface_distance(theirs), weights=areas), rel=1e-12
    )
    assert ours.hausdorff() == max(theirs["distances_gt_to_pred"].max(), theirs["distances_pred_to_gt"].max())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_three_times_faster_than_surface_distance_on_160_cubed():
    speed = pytest.importorskip("voxtrace.bench.metric_speed")
    mask, truth = speed.ball((80, 80, 80), 40), speed.ball((80, 82, 81), 44)
    row = speed.compare((mask, truth), [speed.theirs(), speed.ours], repeats=3)
    assert row["times_faster"] >= 3
    assert row["largest_difference"] < 1e-9
