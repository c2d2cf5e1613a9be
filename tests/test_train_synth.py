"""Synthetic cases: numbered, labelled, ending within their scan, with objects that can be told from what is around."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtrace.train.synth import SynthPool, smooth_noise, synthetic_case  # noqa: E402

pytestmark = pytest.mark.torch


def test_case_is_the_same_for_the_same_number_in_another_pool():
    one, other = SynthPool(seed=4).case(6), SynthPool(seed=4).case(6)
    assert np.array_equal(one.frames, other.frames)


def test_cases_differ_by_number_and_by_seed():
    pool = SynthPool(seed=4)
    assert not np.array_equal(pool.case(1).frames[0, :64, :64], pool.case(3).frames[0, :64, :64])
    assert not np.array_equal(pool.case(1).frames[0, :64, :64], SynthPool(seed=5).case(1).frames[0, :64, :64])


def test_pool_keeps_a_bounded_number_of_cases():
    pool = SynthPool(seed=1, size=2)
    for number in range(1, 21, 2):
        pool.case(number)
    assert len(pool._made) == 4


@pytest.mark.parametrize("seed", range(6))
def test_picture_has_one_frame_and_objects_of_some_size(seed):
    case = synthetic_case(np.random.default_rng(seed), flat=True)
    assert case.kind == "image"
    assert case.frames.dtype == np.uint8
    assert case.frames.shape[0] == 1
    assert all(one.crop.sum() >= 60 for one in case.objects["whole"])


def test_most_objects_of_volumes_end_inside_the_scan():
    ends = []
    for seed in range(6):
        case = synthetic_case(np.random.default_rng(seed))
        depth = case.frames.shape[0]
        ends += [one.frames()[0] > 0 or one.frames()[-1] < depth - 1 for one in case.objects["whole"]]
    assert np.mean(ends) > 0.7


def test_objects_mostly_differ_from_what_is_around_them():
    differences = []
    for seed in range(8):
        case = synthetic_case(np.random.default_rng(seed), flat=True)
        grey = case.frames[0].reshape(*case.frames.shape[1:3], -1).astype(float)
        for one in case.objects["whole"]:
            mask = np.zeros(grey.shape[:2], bool)
            _, y, x = one.start
            mask[y : y + one.crop.shape[1], x : x + one.crop.shape[2]] = one.crop[0]
            differences.append(np.abs(grey[mask].mean(0) - grey[~mask].mean(0)).max())
    assert np.median(differences) > 15


def test_smooth_noise_is_smooth_over_its_period():
    noise = smooth_noise(np.random.default_rng(0), (20, 40, 50), period=10.0)
    assert noise.shape == (20, 40, 50)
    assert np.abs(np.diff(noise, axis=2)).mean() < 0.3 * noise.std()
