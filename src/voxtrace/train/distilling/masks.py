"""Stage 2: encoder and decoder together on pictures with a box each, towards the true mask and the teacher's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace import simulate
from voxtrace.model.mask_decoder import resize
from voxtrace.train.distilling.nets import Teacher, config_of
from voxtrace.train.distilling.plan import Plan
from voxtrace.train.distilling.seeing import asked
from voxtrace.train.distilling.stages import fast
from voxtrace.train.losses import mask_losses, overlap


class MaskLoss:
    """Loss of a batch of windows, an object each, asked for by a box: both kinds of net understand boxes."""

    def __init__(self, student: nn.Module, teacher: Teacher | None, plan: Plan) -> None:
        self.student, self.plan = student, plan
        self.teacher = teacher if plan.teacher_masks else None

    def __call__(self, windows: Tensor, truth: Tensor, step: int) -> tuple[Tensor, dict[str, float]]:
        """Windows (B, 3, S, S) uint8, truth (B, S, S) uint8 with an object in each."""
        plan = self.plan
        boxes = boxes_of(truth, plan.prompts.box_jitter, np.random.default_rng([plan.seed, 4, step]))
        side = config_of(self.student).image_size
        with fast(windows.device):
            said = asked(self.student, windows, boxes)
        logits = resize(said.logits[:, :1].float(), side)
        goal = (resize(truth[:, None].float(), side, antialias=True) >= 0.5).float()
        iou, dice = overlap(logits, goal)
        loss = mask_losses(logits, goal, plan.losses).mean()
        loss = loss + plan.losses.iou * (said.iou[:, :1].float() - iou).square().mean()
        parts = {"dice": float(dice.mean())}
        if self.teacher is not None:
            towards = torch.sigmoid(resize(self._taught(windows, boxes), side))
            loss = loss + plan.teacher_masks * F.binary_cross_entropy_with_logits(logits, towards)
            parts["teacher_dice"] = float(overlap(towards - 0.5, goal)[1].mean())
        return loss, parts

    @torch.no_grad()
    def _taught(self, windows: Tensor, boxes: Tensor) -> Tensor:
        """The teacher's logits (B, 1, h, w) for the same boxes."""
        assert self.teacher is not None
        with fast(windows.device):
            return asked(self.teacher.net, windows, boxes).logits[:, :1].float()


def boxes_of(truth: Tensor, jitter: float, rng: np.random.Generator) -> Tensor:
    """(B, S, S) -> (B, 4) y0, x0, y1, x1 as shares of the side, each side off by up to `jitter` of the box's size."""
    found = [simulate.box(mask, jitter, rng) for mask in truth.cpu().numpy() > 0]
    return torch.tensor(found, dtype=torch.float32, device=truth.device) / truth.shape[-1]
