"""What is compared with what: mm in volumes, pixels in pictures, the labelled frames alone in videos."""

import numpy as np
import pytest

from voxtrace.bench.cost import measured
from voxtrace.bench.scoring import scores
from voxtrace.bench.truths import Target
from voxtrace.errors import GeometryError
from voxtrace.volume import Picture, Video, Volume


def block(shape: tuple[int, int, int], left: int) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[:, 5:15, left : left + 10] = True
    return mask


def target_of(mask: np.ndarray, frames: tuple[int, ...], depth: int) -> Target:
    return Target(1, depth, frames[0], mask[0], frames, mask)


def test_a_volume_is_measured_in_mm():
    truth = block((6, 20, 40), 10)
    affine = np.diag([3.0, 1.0, 1.0, 1.0])  # x is 3 mm
    scan = Volume(np.zeros(truth.shape), affine)
    found = scores(block(truth.shape, 11), target_of(truth, tuple(range(6)), 6), scan, 2.0)
    assert found.dsc == pytest.approx(0.9)
    assert found.hd95 == pytest.approx(3.0)
    assert found.nsd < 1


def test_a_picture_is_measured_in_pixels_and_has_no_top_and_bottom():
    truth = block((1, 20, 40), 10)
    found = scores(block(truth.shape, 14), target_of(truth, (0,), 1), Picture(np.zeros((20, 40))), 2.0)
    assert found.dsc == pytest.approx(0.6)
    assert found.hd95 == pytest.approx(4.0)
    assert found.nsd < 0.7  # as a slab of one slice, its faces would agree


def test_a_video_is_scored_on_the_labelled_frames_alone():
    whole = np.zeros((5, 20, 40), bool)
    whole[1:2] = block((1, 20, 40), 10)  # as the truth
    whole[3:4] = block((1, 20, 40), 20)  # beside it
    whole[4] = True  # not labelled: nothing is known
    truth = block((2, 20, 40), 10)
    video = Video(np.zeros((5, 20, 40, 3), np.uint8), (5, 20, 40))
    found = scores(whole, target_of(truth, (1, 3), 5), video, 2.0)
    assert found.dsc == pytest.approx(0.5)
    assert found.iou == pytest.approx(100 / 300)
    right = scores(truth[:1], target_of(truth[:1], (0,), 1), Picture(np.zeros((20, 40))), 2.0)
    wrong = scores(whole[3:4], target_of(truth[:1], (0,), 1), Picture(np.zeros((20, 40))), 2.0)
    assert found.nsd == pytest.approx((right.nsd + wrong.nsd) / 2)
    assert found.hd95 == pytest.approx((0 + wrong.hd95) / 2)


def test_a_mask_of_another_shape_is_refused():
    truth = block((1, 20, 40), 10)
    with pytest.raises(GeometryError, match=r"\(1, 40, 20\)"):
        scores(np.zeros((1, 40, 20), bool), target_of(truth, (0,), 1), Picture(np.zeros((20, 40))), 2.0)


def test_peak_memory_is_that_of_the_work_and_not_of_before():
    large = np.ones(40_000_000, np.uint8)
    with measured() as before:
        large += 1
    del large
    with measured() as small:
        np.ones(1000)
    with measured() as again:
        np.ones(40_000_000, np.uint8)
    if before.peak_mb is None or small.peak_mb is None or again.peak_mb is None:
        pytest.skip("this system does not tell the peak of a part of a process")
    assert again.peak_mb - small.peak_mb > 30
    assert before.peak_mb - small.peak_mb > 30


def test_cost_is_known_of_work_that_fails():
    with pytest.raises(ZeroDivisionError), measured() as cost:
        print(sum(range(10000)) / 0)
    assert cost.seconds >= 0
    assert cost.peak_mb is None or cost.peak_mb > 0
