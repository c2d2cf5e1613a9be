"""What a frame's loss asks for: the right mask, the object's score, and nothing where there is no object."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from voxtrace.model.mask_decoder import Masks
from voxtrace.train.losses import LossWeights, frame_loss

pytestmark = pytest.mark.torch

ABSENT = LossWeights(focal=0, dice=0, cross_entropy=0, iou=0, object_score=0, absent=2.0)


def masks_of(truth: Tensor, sure: float, score: float) -> Masks:
    logits = ((truth * 2 - 1) * sure)[:, None].expand(-1, 4, -1, -1)
    return Masks(logits, torch.ones(len(truth), 4), torch.zeros(len(truth), 4, 8), torch.full((len(truth), 1), score))


def block() -> Tensor:
    """(1, 16, 16): an object of 5 x 9 pixels."""
    truth = torch.zeros(1, 16, 16)
    truth[:, 4:9, 3:12] = 1
    return truth


def test_a_perfect_mask_costs_next_to_nothing_and_its_negative_much():
    right = frame_loss(masks_of(block(), 10, 10), block(), False, LossWeights())
    wrong = frame_loss(masks_of(block(), -10, 10), block(), False, LossWeights())
    assert float(right.total) < 0.02
    assert float(right.dice_score) == 1
    assert float(wrong.total) > 5


def test_a_frame_without_the_object_teaches_its_score_alone():
    truth = torch.zeros(1, 16, 16)
    absent = frame_loss(masks_of(truth + 1, 10, -10), truth, False, LossWeights())
    assert float(absent.total) < 1e-3
    assert float(frame_loss(masks_of(truth, 10, 10), truth, False, LossWeights()).total) > 9


# The weight `absent`


def test_absent_is_the_cross_entropy_with_an_empty_mask_over_the_share_of_frames_without_the_object():
    truth = torch.cat((block(), torch.zeros(3, 16, 16)))
    masks = Masks(torch.full((4, 4, 16, 16), 1.5), torch.ones(4, 4), torch.zeros(4, 4, 8), torch.zeros(4, 1))
    total = frame_loss(masks, truth, False, ABSENT).total
    assert float(total) == pytest.approx(2.0 * 3 / 4 * math.log1p(math.exp(1.5)))


@pytest.mark.parametrize("ambiguous", [False, True])
def test_absent_pushes_the_logits_of_an_empty_frame_down_and_leaves_those_of_others(ambiguous):
    logits = torch.zeros(2, 4, 16, 16, requires_grad=True)
    masks = Masks(logits, torch.ones(2, 4), torch.zeros(2, 4, 8), torch.zeros(2, 1))
    truth = torch.cat((torch.zeros_like(block()), block()))
    frame_loss(masks, truth, ambiguous, ABSENT).total.backward()
    assert logits.grad is not None
    assert (logits.grad[0, 1 if ambiguous else 0] > 0).all()
    assert (logits.grad[1] == 0).all()


def test_without_absent_an_empty_frame_teaches_its_masks_nothing():
    logits = torch.zeros(1, 4, 16, 16, requires_grad=True)
    masks = Masks(logits, torch.ones(1, 4), torch.zeros(1, 4, 8), torch.zeros(1, 1, requires_grad=True))
    frame_loss(masks, torch.zeros(1, 16, 16), False, LossWeights(absent=0.0)).total.backward()
    assert logits.grad is None or (logits.grad == 0).all()


def test_absent_changes_nothing_where_the_object_is():
    totals = [
        float(frame_loss(masks_of(block(), 1, 1), block(), False, LossWeights(absent=weight)).total)
        for weight in (0.0, 7.0)
    ]
    assert totals[0] == totals[1]
