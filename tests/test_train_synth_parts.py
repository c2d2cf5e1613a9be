"""What synthetic cases are drawn of, against facts that can be computed: calibres, thickness, contrast, noise."""

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch")

from voxtrace.train.synth import blemishes, films, ribbons, solids, vessels  # noqa: E402
from voxtrace.train.synth.canvas import Canvas, ellipsoid  # noqa: E402
from voxtrace.train.synth.case import in_one_piece, seen  # noqa: E402
from voxtrace.train.synth.fields import blurred  # noqa: E402
from voxtrace.train.synth.painting import painted  # noqa: E402
from voxtrace.train.synth.visibility import visible  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


def test_a_fork_follows_murrays_law_and_the_thinner_branch_turns_more():
    heading = np.array([0.0, 1.0, 0.0])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        thick, thin = sorted(vessels._parted(rng, np.zeros(3), heading, 4.0, False), key=lambda one: -one[2])
        assert thick[2] ** 3 + thin[2] ** 3 == pytest.approx(4.0**3)
        assert thick[1] @ heading >= thin[1] @ heading - 0.3
        assert all(np.linalg.norm(one[1]) == pytest.approx(1) for one in (thick, thin))


def test_balls_are_stamped_to_their_radius_and_cut_at_the_edge():
    labels = np.zeros((9, 20, 24), np.int32)
    vessels._stamp(labels, 5, np.array([[4.3, 10.0, 12.5], [0.0, 0.0, 0.0]]), np.array([3.2, 2.0]))
    z, y, x = np.mgrid[:9, :20, :24]
    expected = (z - 4.3) ** 2 + (y - 10) ** 2 + (x - 12.5) ** 2 <= 3.2**2
    expected |= z**2 + y**2 + x**2 <= 4
    assert np.array_equal(labels == 5, expected)


def test_folded_bands_are_thin_and_long():
    ratios = []
    for seed in range(6):
        canvas = Canvas.blank((1, 200, 220))
        ribbons.folds(np.random.default_rng(seed), canvas)
        band = canvas.labels[0] == len(canvas.groups)
        ratios.append(2 * ndimage.distance_transform_edt(band).max() / np.sqrt(band.sum()))
    assert np.median(ratios) < 0.35  # a disc has 1.13


def test_alike_things_touch_and_each_has_its_own_label():
    touching = 0
    for seed in range(4):
        canvas = Canvas.blank((1, 180, 180))
        solids.crowd(np.random.default_rng(seed), canvas)
        labels = canvas.labels[0]
        assert len(set(canvas.groups)) == 1
        assert canvas.seamed == {0}
        touching += int(((labels[:, 1:] != labels[:, :-1]) & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)).any())
    assert touching >= 3


def test_no_more_labels_than_the_limit_and_no_label_is_used_twice():
    canvas = Canvas.blank((1, 100, 100))
    for seed in range(30):
        solids.pieces(np.random.default_rng(seed), canvas)
        solids.cells(np.random.default_rng(seed), canvas)
    assert canvas.full
    assert canvas.labels.max() <= len(canvas.groups)


def test_neighbours_of_other_groups_have_other_tones():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        canvas = Canvas.blank((1, 120, 130))
        solids.nested(rng, canvas)
        image, _ = painted(rng, canvas, 1)
        grey = (image[0] * 255).clamp(0, 255).to(torch.uint8).numpy()
        assert visible(grey, canvas.labels)[np.unique(canvas.labels)[1:]].mean() >= 0.5


def test_visibility_is_a_difference_of_means_in_any_channel():
    labels = np.zeros((1, 40, 40), np.int32)
    labels[0, 5:15, 5:15], labels[0, 20:35, 20:35] = 1, 2
    grey = np.full((1, 40, 40, 3), 100, np.uint8)
    grey[labels == 1] = (100, 100, 109)
    grey[labels == 2] = (103, 100, 100)
    assert visible(grey, labels).tolist() == [False, True, False]


def test_rayleigh_and_rician_noise_have_their_means():
    rng = np.random.default_rng(0)
    flat = torch.full((1, 1, 300, 300), 0.5)
    assert float(blemishes.speckle(rng, flat).mean()) == pytest.approx(0.5, rel=0.1)
    dark = blemishes.rician(rng, torch.zeros(1, 1, 300, 300))
    sigma = float(dark.square().mean() / 2) ** 0.5
    assert float(dark.mean()) == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)


def test_what_a_fan_does_not_show_is_black_and_not_labelled():
    image = blemishes.sector(np.random.default_rng(2), torch.ones(1, 1, 60, 60))
    frames, labels = seen(image, np.ones((1, 60, 60), np.int32))
    assert 0.2 < labels.mean() < 0.95
    assert np.array_equal(frames > 0, labels > 0)


def test_blurring_keeps_the_mean_and_matches_scipy():
    image = torch.from_numpy(np.random.default_rng(0).random((1, 8, 20, 22), np.float32))
    own = blurred(image, (1.0, 1.5, 0.0))[0].numpy()
    theirs = ndimage.gaussian_filter(image[0].numpy(), (1.0, 1.5, 0.0), mode="nearest", radius=(2, 3, 0))
    assert np.abs(own - theirs).max() < 1e-5


def test_bits_of_a_covered_object_are_told_from_an_object():
    crop = np.zeros((1, 20, 20), bool)
    crop[0, 2:10, 2:10] = True
    assert in_one_piece(crop)
    crop[0, 12:18, 12:18] = True
    assert not in_one_piece(crop)


def test_an_ellipsoid_lies_in_its_box():
    for seed in range(10):
        box, inside = ellipsoid(np.random.default_rng(seed), (30, 60, 70), 0.2)
        assert inside.shape == tuple(b.stop - b.start for b in box)
        assert (inside < 1).any()


def test_a_thing_of_a_film_is_one_piece_within_its_square():
    for seed in range(8):
        layer = films._thing(np.random.default_rng(seed), np.array([0.5]), "cpu")
        cover = layer[-1].numpy() > 0.5
        assert ndimage.label(cover)[1] == 1
        assert not cover[[0, -1]].any()
        assert not cover[:, [0, -1]].any()


def test_a_thing_that_leaves_is_gone_in_the_end_or_comes_back():
    gone = back = 0
    for seed in range(60):
        path = films._path(np.random.default_rng(seed), 12, 0.3)
        out = np.abs(path.centre).max(1) > 1.3
        gone += int(out[-1])
        back += int(out.any() and not out[0] and not out[-1])
    assert gone > 0
    assert back > 0
