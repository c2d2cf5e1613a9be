"""Masks as a net gets them wrong."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtrace.train.disturb import disturbed  # noqa: E402

pytestmark = pytest.mark.torch


def discs(count, size=64, radius=12):
    y, x = np.mgrid[:size, :size]
    disc = (y - 30) ** 2 + (x - 34) ** 2 < radius**2
    return torch.from_numpy(np.repeat(disc[None], count, 0).astype(np.float32))


def dice(a, b):
    return float(2 * (a * b).sum() / (a.sum() + b.sum()))


def test_masks_come_back_wrong_but_recognisable():
    true = discs(60)
    wrong = disturbed(true, np.random.default_rng(0))
    scores = [dice(a, b) for a, b in zip(true, wrong, strict=True)]
    assert set(np.unique(wrong)) == {0.0, 1.0}
    assert 0.5 < min(scores) < 0.85, "some are a lot wrong"
    assert max(scores) > 0.95, "some hardly"


def test_they_swell_and_shrink_alike():
    areas = disturbed(discs(200), np.random.default_rng(1)).sum((1, 2)) / discs(1).sum()
    assert areas.min() < 0.8
    assert areas.max() > 1.25
    assert 0.95 < float(areas.log().mean().exp()) < 1.05, "a bias would teach the net to drift the other way"


def test_an_empty_mask_stays_empty_and_draws_depend_on_the_generator_alone():
    masks = discs(3)
    masks[1] = 0
    first, again, other = (disturbed(masks, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert not first[1].any()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
