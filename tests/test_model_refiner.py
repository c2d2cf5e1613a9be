"""The small net's refiner and what it is shown: shapes, objects kept apart, the force of grey values, the drawing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from voxtrace.model.refiner import Refiner, force, mirrored, prototype
from voxtrace.model.sketch import SURE, clicks, sketch

pytestmark = pytest.mark.torch

DIM = 24  # channels of what is remembered


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def refiner() -> Refiner:
    torch.manual_seed(0)
    return Refiner(DIM).eval().requires_grad_(False)


@pytest.fixture
def taught() -> Refiner:
    """One that uses what is remembered, as after training."""
    torch.manual_seed(0)
    refiner = Refiner(DIM).eval().requires_grad_(False)
    torch.nn.init.normal_(refiner.remembered.weight, std=0.1)
    return refiner


# Shapes


@pytest.mark.parametrize("size", [(16, 16), (32, 48), (80, 16)], ids=str)
def test_one_image_serves_any_number_of_hints_at_multiples_of_16(refiner: Refiner, size: tuple[int, int]) -> None:
    image = randn(1, 3, *size)
    change, presence = refiner(image, randn(5, 1, *size), image)
    assert change.shape == (5, 1, *size)
    assert presence.shape == (5, 1)


def test_memories_come_in_at_stride_16(refiner: Refiner) -> None:
    image = randn(1, 3, 32, 48)
    change, presence = refiner(image, randn(2, 1, 32, 48), image, randn(2, DIM, 2, 3))
    assert change.shape == (2, 1, 32, 48)
    assert presence.shape == (2, 1)


# What the answer depends on


def test_objects_drawn_together_are_those_drawn_alone(taught: Refiner) -> None:
    image, shown = randn(1, 3, 32, 48), randn(3, 3, 32, 48, seed=1)
    hints, embedding = 5 * randn(3, 1, 32, 48, seed=2), randn(3, DIM, 2, 3, seed=3)
    together = taught(image, hints, shown, embedding)
    for index in range(3):
        own = slice(index, index + 1)
        alone = taught(image, hints[own], shown[own], embedding[own])
        for one, all_of_them in zip(alone, together, strict=True):
            assert torch.allclose(one, all_of_them[own], atol=1e-5)


def test_an_image_of_its_own_for_each_object_is_the_same_as_a_shared_one(refiner: Refiner) -> None:
    image, hints = randn(1, 3, 32, 48), randn(2, 1, 32, 48, seed=1)
    shared, own = (refiner(i, hints, i)[0] for i in (image, image.expand(2, -1, -1, -1)))
    assert torch.allclose(shared, own, atol=1e-6)


def test_another_picture_shown_with_the_mask_gives_another_answer_even_at_equal_means(refiner: Refiner) -> None:
    image, shown = randn(1, 3, 32, 32), randn(1, 3, 32, 32, seed=1)
    hint = torch.full((1, 1, 32, 32), -SURE)
    hint[..., :12] = SURE
    upside_down = shown.flip(2)  # means inside and outside the hint stay what they are
    assert torch.allclose(force(image, shown, hint), force(image, upside_down, hint), atol=1e-5)
    drawn = [refiner(image, hint, before)[0] for before in (image, shown, upside_down)]
    assert (drawn[0] - drawn[1]).abs().max() > 0.01
    assert (drawn[1] - drawn[2]).abs().max() > 0.01


def test_a_single_pixel_of_the_picture_is_seen(refiner: Refiner) -> None:
    image, hint = randn(1, 3, 32, 32), randn(1, 1, 32, 32, seed=1)
    dotted = image.clone()
    dotted[..., 10, 21] += 3
    change = (refiner(image, hint, image)[0] - refiner(dotted, hint, image)[0])[0, 0].abs()
    near = torch.zeros(32, 32, dtype=torch.bool)
    near[6:15, 17:26] = True
    assert change[near].mean() > 3 * change[~near].mean()


# Memory


def test_memories_leave_the_drawing_alone_until_they_are_taught(refiner: Refiner, taught: Refiner) -> None:
    image, hint = randn(1, 3, 32, 48), randn(2, 1, 32, 48, seed=1)
    embedding = randn(2, DIM, 2, 3, seed=2)
    bare = refiner(image, hint, image)
    assert all(map(torch.equal, refiner(image, hint, image, embedding), bare))
    assert not any(map(torch.allclose, taught(image, hint, image, embedding), bare))


def test_memories_are_taught_from_the_first_step_on() -> None:
    torch.manual_seed(0)
    refiner = Refiner(DIM)
    image = randn(1, 3, 32, 32)
    change, _ = refiner(image, randn(2, 1, 32, 32, seed=1), image, randn(2, DIM, 2, 2, seed=2))
    change.square().sum().backward()
    gradient = refiner.remembered.weight.grad
    assert gradient is not None
    assert (gradient.flatten(1).abs().amax(1) > 0).float().mean() > 0.5  # of its 160 channels


# The grey values' force


def two_grey_values(inside: float, outside: float) -> tuple[Tensor, Tensor]:
    """A picture (1, 3, 32, 48) of an object of one value on another, and where the object is."""
    object_ = torch.zeros(1, 1, 32, 48, dtype=torch.bool)
    object_[..., 8:20, 10:40] = True
    return torch.where(object_, inside, outside).expand(-1, 3, -1, -1), object_


@pytest.mark.parametrize(("inside", "outside"), [(1.0, -1.0), (-0.7, 1.3)])
def test_force_tells_two_grey_values_apart_from_a_hint_that_knows_a_part_of_each(inside: float, outside: float) -> None:
    image, object_ = two_grey_values(inside, outside)
    hint = torch.zeros(1, 1, 32, 48)
    hint[..., 12:16, 12:18], hint[..., 25:, :] = SURE, -SURE
    pull = force(image, image, hint)
    assert (pull[object_] > 0.95).all()
    assert (pull[~object_] < -0.95).all()


def test_force_measures_by_the_picture_that_the_mask_belongs_to() -> None:
    before, object_ = two_grey_values(1.0, -1.0)
    hint = torch.where(object_, SURE, -SURE)
    moved, now = before.roll(6, dims=2), object_.roll(6, dims=2)
    pull = force(moved, before, hint)
    assert (pull[now] > 0.95).all()
    assert (pull[~now] < -0.95).all()


@pytest.mark.parametrize("hint", [0.0, SURE, -SURE], ids=["unknown", "all of it", "nothing"])
def test_force_is_finite_and_within_1_whatever_the_hint(hint: float) -> None:
    image = 3 * randn(1, 3, 32, 48)
    pull = force(image, image, torch.full((2, 1, 32, 48), hint))
    assert pull.shape == (2, 1, 32, 48)
    assert pull.abs().max() <= 1


def test_prototype_is_the_weighted_mean_of_each_channel() -> None:
    features, weight = randn(1, 3, 4, 6), randn(2, 1, 4, 6, seed=1).abs()
    found = prototype(features, weight)
    for index in range(2):
        expected = np.average(features[0].flatten(1), axis=1, weights=weight[index].flatten())
        assert found[index, :, 0, 0].tolist() == pytest.approx(expected.tolist(), abs=1e-5)
    assert (prototype(features, torch.zeros(2, 1, 4, 6)) == 0).all()


# The drawn prompt


def test_a_box_is_drawn_as_its_ellipse_and_a_negative_click_as_a_hole() -> None:
    points = torch.tensor([[[16.0, 8.0], [47.0, 23.0], [40.0, 15.0]]])
    drawn = sketch(points, torch.tensor([[2, 3, 0]]), image_size=64, size=64)[0, 0]
    assert drawn[16, 24] > 0
    assert drawn[15, 40] < 0
    assert drawn[9, 17] < 0  # the box's corner
    assert drawn[16, 60] == -10


def test_a_drawing_is_of_the_same_place_in_any_resolution() -> None:
    points, labels = torch.tensor([[[16.0, 8.0], [47.0, 23.0]]]), torch.tensor([[2, 3]])
    fine = sketch(points, labels, image_size=64, size=64)
    coarse = sketch(points, labels, image_size=64, size=16)
    pooled = torch.nn.functional.avg_pool2d((fine > 0).float(), 4)
    assert (coarse > 0)[pooled == 1].all()
    assert not (coarse > 0)[pooled == 0].any()


def test_clicks_are_drawn_over_a_known_mask_and_its_box_is_not() -> None:
    known = torch.full((1, 1, 32, 32), -4.0)
    points = torch.tensor([[[2.0, 2.0], [20.0, 20.0], [8.0, 27.0]]])
    drawn = sketch(points, torch.tensor([[2, 3, 1]]), image_size=32, size=32, masks=known)[0, 0]
    assert drawn[27, 8] == 10
    assert (drawn != -4).sum() <= 9


@pytest.mark.parametrize("thickness", [1, 2, 3])
def test_a_thin_box_is_drawn(thickness: int) -> None:
    points = torch.tensor([[[4.0, 20.0], [59.0, 20.0 + thickness - 1]]])
    drawn = sketch(points, torch.tensor([[2, 3]]), image_size=64, size=64)[0, 0] > 0
    assert drawn.any(0).sum() >= 40, "it is as long as its box"
    assert drawn.any(1).sum() <= 3


def test_padding_points_draw_nothing() -> None:
    points = torch.tensor([[[9.0, 9.0], [20.0, 20.0]]])
    assert (sketch(points, torch.tensor([[-1, -1]]), image_size=32, size=32) == 0).all()


def test_mirrored_answers_turn_with_the_picture(refiner: Refiner) -> None:
    image, hint, shown = randn(2, 3, 32, 32), randn(2, 1, 32, 32, seed=1), randn(2, 3, 32, 32, seed=2)
    draw = mirrored(refiner)
    change, presence = draw(image, hint, shown)
    flipped, same = draw(image.flip(3), hint.flip(3), shown.flip(3))
    assert torch.allclose(flipped.flip(3), change, atol=1e-5)
    assert torch.allclose(same, presence, atol=1e-5)
    plain = refiner(image, hint, shown)[0]
    assert not torch.allclose(plain, change, atol=1e-3), "one look alone depends on the side"


def test_clicks_are_discs_of_their_sign() -> None:
    points = torch.tensor([[[10.0, 10.0], [40.0, 50.0], [20.0, 20.0]]])
    drawn = clicks(points, torch.tensor([[1, 0, 2]]), image_size=64, size=64)[0, 0]
    assert drawn[10, 10] == 1
    assert drawn[50, 40] == -1
    assert drawn[20, 20] == 0, "a box's corner is no click"
