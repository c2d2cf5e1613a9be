"""Synthetic cases: numbered, labelled, ending within their scan, with objects that can be told from what is around."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from voxtrace.train.cases import LoadedCase  # noqa: E402
from voxtrace.train.options import Options  # noqa: E402
from voxtrace.train.samples import Sampler, cut_clip  # noqa: E402
from voxtrace.train.synth import SynthPool, smooth_noise, synthetic_case, synthetic_film  # noqa: E402
from voxtrace.train.synth.visibility import CONTRAST, RIM  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

POOL = SynthPool(seed=11, size=64)
NUMBERS = {"image": range(1, 25, 2), "volume": (0, 2, 6, 8, 12, 14, 18, 20), "video": range(4, 40, 6)}


def cases(kind: str) -> list[LoadedCase]:
    found = [POOL.case(number) for number in NUMBERS[kind]]
    assert {case.kind for case in found} == {kind}
    return found


def mask_of(case: LoadedCase, index: int) -> np.ndarray:
    """(D, H, W) bool of the case's object."""
    one = case.objects["whole"][index]
    mask = np.zeros(case.frames.shape[:3], bool)
    mask[tuple(slice(a, a + n) for a, n in zip(one.start, one.crop.shape, strict=True))] = one.crop
    return mask


def test_case_is_the_same_for_the_same_number_in_another_pool():
    for number in (1, 4, 6):
        one, other = SynthPool(seed=4).case(number), SynthPool(seed=4).case(number)
        assert np.array_equal(one.frames, other.frames)
        assert [o.start for o in one.objects["whole"]] == [o.start for o in other.objects["whole"]]


def test_a_case_does_not_depend_on_those_made_before_it():
    pool = SynthPool(seed=4)
    for number in (3, 4, 0):
        pool.case(number)
    assert np.array_equal(pool.case(5).frames, SynthPool(seed=4).case(5).frames)


def test_cases_differ_by_number_and_by_seed():
    pool = SynthPool(seed=4)
    assert not np.array_equal(pool.case(1).frames[0, :64, :64], pool.case(3).frames[0, :64, :64])
    assert not np.array_equal(pool.case(1).frames[0, :64, :64], SynthPool(seed=5).case(1).frames[0, :64, :64])


def test_pool_keeps_a_bounded_number_of_cases():
    pool = SynthPool(seed=1, size=2)
    for number in range(1, 21, 2):
        pool.case(number)
    assert len(pool._made) == 4


@pytest.mark.parametrize("kind", ["image", "volume", "video"])
def test_frames_are_bytes_and_objects_have_some_size(kind):
    for case in cases(kind):
        assert case.frames.dtype == np.uint8
        assert (case.frames.shape[0] == 1) == (kind == "image")
        assert case.labelled == tuple(range(len(case.frames)))
        assert all(one.crop.sum() >= (60 if kind == "image" else 120) for one in case.objects["whole"])


@pytest.mark.parametrize("kind", ["image", "volume", "video"])
def test_objects_do_not_overlap(kind):
    for case in cases(kind):
        total = sum(mask_of(case, index).astype(int) for index in range(len(case.objects["whole"])))
        assert total.max() == 1


@pytest.mark.parametrize("kind", ["image", "volume", "video"])
def test_every_object_differs_from_its_surroundings_by_the_stated_contrast(kind):
    """Measured anew, by dilation: the rim is all that is within RIM pixels, so most of a sharper border is in it."""
    apart = []
    for case in cases(kind):
        grey = case.frames.reshape(*case.frames.shape[:3], -1).astype(float)
        cross = ndimage.generate_binary_structure(2, 1)[None]
        for index in range(len(case.objects["whole"])):
            mask = mask_of(case, index)
            rim = ndimage.binary_dilation(mask, cross, iterations=RIM) & ~mask
            apart.append(np.abs(grey[mask].mean(0) - grey[rim].mean(0)).max())
    assert np.mean(np.array(apart) >= 0.5 * CONTRAST) > 0.97
    assert np.median(apart) > 2 * CONTRAST


def test_labels_lie_where_the_picture_changes():
    """Moved aside by a few pixels, the same labels fit their picture worse: labels and picture belong together."""
    own, moved = [], []
    for case in cases("image"):
        grey = case.frames.reshape(*case.frames.shape[:3], -1).astype(float).mean(-1)[0]
        labels = sum((i + 1) * mask_of(case, i)[0] for i in range(len(case.objects["whole"])))
        own.append(_explained(grey, labels))
        moved.append(_explained(grey, np.roll(labels, (7, 7), (0, 1))))
    assert np.mean(np.array(own) > moved) >= 0.75
    assert np.mean(own) > 1.4 * np.mean(moved)


def _explained(grey: np.ndarray, labels: np.ndarray) -> float:
    """The share of the variance that each region's mean explains."""
    number = np.maximum(np.bincount(labels.ravel()), 1)
    means = np.bincount(labels.ravel(), grey.ravel()) / number
    return 1 - np.square(grey - means[labels]).mean() / grey.var()


def test_most_objects_of_volumes_end_inside_the_scan():
    ends = []
    for case in cases("volume"):
        depth = case.frames.shape[0]
        ends += [one.frames()[0] > 0 or one.frames()[-1] < depth - 1 for one in case.objects["whole"]]
    assert np.mean(ends) > 0.6


def test_some_volumes_have_thick_slices_and_say_so():
    spacings = [synthetic_case(np.random.default_rng(seed)).spacing for seed in range(14)]
    assert {s[1:] for s in spacings} == {(1.0, 1.0)}
    assert min(spacings)[0] == 1.0
    assert max(spacings)[0] >= 2.0


def test_objects_of_films_move_and_some_leave():
    travelled, absent = [], 0
    for case in cases("video"):
        for index in range(len(case.objects["whole"])):
            mask = mask_of(case, index)
            there = [np.argwhere(frame).mean(0) for frame in mask if frame.sum() >= 10]
            absent += int((~mask.any((1, 2))).any())
            travelled.append(sum(np.linalg.norm(a - b) for a, b in pairwise(there)))
    assert np.mean(np.array(travelled) > 5) > 0.8
    assert absent > 0


def test_films_do_not_jump():
    steps = []
    for case in cases("video"):
        grey = case.frames.reshape(*case.frames.shape[:3], -1).astype(float).mean(-1)
        smooth = ndimage.gaussian_filter(grey, (0, 3, 3))
        near = np.abs(np.diff(smooth, axis=0)).mean()
        far = np.abs(smooth - smooth[::-1])[: len(smooth) // 4].mean()
        steps.append(near < far)
    assert np.mean(steps) > 0.8


def test_clips_are_cut_from_every_kind():
    rng = np.random.default_rng(0)
    sampler = Sampler([], POOL, options=Options(size=64, images=0, volumes=0, synthetic=1))
    assert sampler.clip(rng, 3).images.shape == (3, 3, 64, 64)
    film = cases("video")[0]
    clip = next(c for c in (cut_clip(film, rng, 4, Options(size=64)) for _ in range(20)) if c is not None)
    assert clip.masks.shape == (4, 64, 64)
    assert clip.masks[0].any()


def test_smooth_noise_is_smooth_over_its_period():
    noise = smooth_noise(np.random.default_rng(0), (20, 40, 50), period=10.0)
    assert noise.shape == (20, 40, 50)
    assert np.abs(np.diff(noise, axis=2)).mean() < 0.3 * noise.std()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_gpu_draws_the_same_things():
    one, other = (synthetic_film(np.random.default_rng(3), device) for device in ("cpu", "cuda"))
    assert one.frames.shape == other.frames.shape
