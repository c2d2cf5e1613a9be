"""The small net's last step: compare each pixel with what the shown mask holds and leaves out, and redraw the border.

SAM's decoder tells objects apart by one dot product a pixel, which takes much data to learn. Here the mean feature
inside the hint and outside it are prototypes (few-shot segmentation, Dong and Xing 2018). Their similarity to every
pixel, the same of the bare grey values or colours (as in Chan and Vese's active contours, 2001), the hint and the
decoder's own mask go through a few dilated convolutions that give a change of the logits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.layers import LayerNorm2d
from voxtrace.model.sketch import SURE

WIDTH = 48


class Refiner(nn.Module):
    """Maps at strides 4 and 8, a hint and the decoder's logits -> a change of the logits."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(dim // 8 + dim // 4, WIDTH, kernel_size=1)
        self.norm = LayerNorm2d(WIDTH)
        self.convs = nn.ModuleList(
            nn.Conv2d(WIDTH if index else WIDTH + 9, WIDTH, 3, padding=dilation, dilation=dilation)
            for index, dilation in enumerate((1, 2, 4, 1))
        )
        self.norms = nn.ModuleList(LayerNorm2d(WIDTH) for _ in self.convs)
        self.out = nn.Conv2d(WIDTH, 1, kernel_size=1)

    def forward(self, high_res: Sequence[Tensor], hint: Tensor, logits: Tensor) -> Tensor:
        """high_res: maps (1 or N, C/8, 4h, 4w) and (1 or N, C/4, 2h, 2w) and the image itself (1 or N, 3, 4h, 4w);
        hint, logits: (N, 1, 4h, 4w) -> (N, 1, 4h, 4w)."""
        fine, middle, image = high_res
        middle = F.interpolate(middle, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        features = self.norm(self.project(torch.cat((fine, middle), dim=1)))
        held, left_out = hint.clamp(min=0) / SURE, (-hint).clamp(min=0) / SURE
        alike = [(features * prototype(features, weight)).mean(1, keepdim=True) for weight in (held, left_out)]
        unlike = [(image - prototype(image, weight)).square().mean(1, keepdim=True) for weight in (held, left_out)]
        nearer = (unlike[1] - unlike[0]) / (unlike[0] + unlike[1] + 0.05)  # -1..1: Chan and Vese's force
        shown = [hint / SURE, logits.clamp(-SURE, SURE) / SURE]
        own = torch.cat((features, image), dim=1).expand(len(hint), -1, -1, -1)
        x = torch.cat((own, *alike, nearer, nearer * held, *shown), dim=1)
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = F.relu(norm(conv(x)))
            x = y if index == 0 else x + y
        return self.out(x)


def prototype(features: Tensor, weight: Tensor) -> Tensor:
    """(N, C, 1, 1): mean of features (1 or N, C, h, w) weighted by (N, 1, h, w); 0 where nothing has weight."""
    total = weight.sum((2, 3), keepdim=True)
    return (features * weight).sum((2, 3), keepdim=True) / total.clamp(min=1e-3)
