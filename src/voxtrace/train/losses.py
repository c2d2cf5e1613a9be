"""Losses of SAM 2's training: mask (focal, dice, cross-entropy), expected IoU, object score.

Default weights are the published ones (MedSAM2's recipe: focal 20, dice 1, IoU 1, object score 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from voxtrace.model.mask_decoder import Masks, resize


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each part counts; focal's alpha and gamma as published.

    dice_followed: dice's weight on frames that are followed, if it is another: Dice swells a mask wherever the net is
    unsure, which pays on one frame and adds up over many.
    absent: cross-entropy towards an empty mask on frames without the object, which SAM 2 leaves to the object score.
    """

    focal: float = 20.0
    dice: float = 1.0
    dice_followed: float | None = None
    cross_entropy: float = 0.0
    iou: float = 1.0
    object_score: float = 1.0
    absent: float = 0.0
    alpha: float = 0.25
    gamma: float = 2.0

    def followed(self) -> LossWeights:
        """The weights on followed frames."""
        return self if self.dice_followed is None else replace(self, dice=self.dice_followed)


@dataclass(frozen=True, slots=True)
class FrameLoss:
    """Means over the N objects decoded: the sum to be minimised, and for the log the Dice of the chosen masks (present
    only). share: of all objects of the batch, those decoded."""

    total: Tensor
    dice_score: Tensor
    presence_accuracy: Tensor
    share: float = 1.0


def mean_loss(losses: Sequence[FrameLoss]) -> Tensor:
    """The mean over all masks that were decoded: a frame on which few objects are counts for as many."""
    return torch.stack([loss.total * loss.share for loss in losses]).sum() / sum(loss.share for loss in losses)


def frame_loss(masks: Masks, truth: Tensor, ambiguous: bool, weights: LossWeights) -> FrameLoss:
    """Loss of one frame.

    masks: the decoder's four candidates for N objects. truth: (N, S, S) of 0 and 1.
    ambiguous: the best of candidates 1..3 is taught (least mask loss); otherwise candidate 0 only.
    Frames without the object teach the object score and, where `weights.absent` says so, an empty mask.
    """
    present = truth.flatten(1).any(1)
    logits = masks.logits[:, 1:] if ambiguous else masks.logits[:, :1]
    expected = masks.iou[:, 1:] if ambiguous else masks.iou[:, :1]
    logits = resize(logits.float(), truth.shape[-1])
    truth = truth[:, None].float().expand_as(logits)
    mask_loss = mask_losses(logits, truth, weights)
    iou, dice = overlap(logits, truth)
    best = mask_loss.detach().argmin(1, keepdim=True)
    per_object = mask_loss.gather(1, best)[:, 0] + weights.iou * (expected - iou).abs().mean(1)
    seen = present.float()
    score = F.binary_cross_entropy_with_logits(masks.object_score[:, 0].float(), seen)
    total = (per_object * seen).sum() / len(seen) + weights.object_score * score
    if weights.absent:
        drawn = F.softplus(logits[:, 0]).mean((1, 2))
        total = total + weights.absent * (drawn * (1 - seen)).sum() / len(seen)
    chosen = dice.gather(1, best)[:, 0]
    right = ((masks.object_score[:, 0] > 0) == present).float().mean()
    return FrameLoss(total, (chosen * seen).sum() / seen.sum().clamp(min=1), right)


def mask_losses(logits: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """(N, M, H, W) -> (N, M): the weighted sum of the mask's parts."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    loss = weights.dice * dice_loss(logits, truth)
    if weights.focal:
        loss = loss + weights.focal * focal_loss(logits, truth, entropy, weights.alpha, weights.gamma)
    if weights.cross_entropy:
        loss = loss + weights.cross_entropy * entropy.mean((2, 3))
    return loss


def focal_loss(logits: Tensor, truth: Tensor, entropy: Tensor, alpha: float, gamma: float) -> Tensor:
    """(N, M): Lin et al. 2017 (arXiv:1708.02002), mean over pixels."""
    probability = logits.sigmoid()
    missed = probability + truth - 2 * probability * truth
    balance = alpha * truth + (1 - alpha) * (1 - truth)
    return (balance * entropy * missed**gamma).mean((2, 3))


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """(N, M): 1 - soft Dice, with 1 added above and below so that an empty truth has a gradient."""
    probability = logits.sigmoid()
    both = (probability * truth).sum((2, 3))
    return 1 - (2 * both + 1) / (probability.sum((2, 3)) + truth.sum((2, 3)) + 1)


@torch.no_grad()
def overlap(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and Dice (N, M) of the masks cut at 0; both empty gives 1."""
    mask = (logits > 0).float()
    both = (mask * truth).sum((2, 3))
    total = mask.sum((2, 3)) + truth.sum((2, 3))
    union = total - both
    one = torch.ones_like(both)
    iou = torch.where(union > 0, both / union.clamp(min=1), one)
    return iou, torch.where(total > 0, 2 * both / total.clamp(min=1), one)
