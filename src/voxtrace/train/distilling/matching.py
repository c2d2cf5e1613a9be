"""How far the student's maps are from the teacher's, across other widths and sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.mask_decoder import resize
from voxtrace.train.distilling.plan import Measure


class Matching(nn.Module):
    """One 1 x 1 convolution for each map whose width differs; used in training only.

    student, teacher: channels of the maps, the embedding first. `fine`: the weight of all maps but the embedding; with
    0, or where only one of the nets has them, the embedding alone is matched.
    """

    def __init__(self, student: Sequence[int], teacher: Sequence[int], fine: float, measure: Measure) -> None:
        super().__init__()
        count = len(teacher) if fine and len(student) == len(teacher) else 1
        self.weights = [1.0, *([fine] * (count - 1))]
        self.measure = measure
        self.project = nn.ModuleList(
            nn.Identity() if own == goal else nn.Conv2d(own, goal, kernel_size=1)
            for own, goal in zip(student[:count], teacher[:count], strict=True)
        )

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps (B, C, h, w) of each -> the loss, and the share of the teacher's embedding that is missed.

        A share of 1 is what knowing each channel's mean would reach, 0 is the teacher itself. Both are measured in the
        teacher's own spread, so that neither the rate nor the outliers' limit depends on how large its numbers are.
        """
        total, missed = student[0].new_zeros((), dtype=torch.float32), None
        for weight, project, own, goal in zip(self.weights, self.project, student, teacher, strict=False):
            goal = on_grid(goal.float(), own.shape[-1])
            off = project(own.float()) - goal
            spread = (goal - goal.mean((0, 2, 3), keepdim=True)).square().mean().clamp(min=1e-12)
            off = off / spread.sqrt()
            loss = off.square().mean() if self.measure == "mse" else F.smooth_l1_loss(off, torch.zeros_like(off))
            total = total + weight * loss
            missed = off.detach().square().mean() if missed is None else missed
        assert missed is not None
        return total, missed


def on_grid(maps: Tensor, side: int) -> Tensor:
    """(B, C, h, w) -> (B, C, side, side): averaged over areas where it shrinks."""
    return maps if maps.shape[-1] == side else resize(maps, side, antialias=True)
