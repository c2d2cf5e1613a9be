"""Masks as a net gets them wrong: moved, swollen, shrunk and bent.

A net that follows is shown its own last mask. If it only ever saw true ones it copies them, and small errors grow from
slice to slice; shown disturbed ones it learns to go back to what the picture says (Perazzi et al. 2017,
arXiv:1612.02646).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

SCALE = 0.3  # largest change of size, in log
SHIFT = 0.12  # largest movement, as a share of the object's own extent
BEND = 0.15  # largest local movement of the border, likewise
NODES = 5  # of the bending field, each way


def disturbed(masks: Tensor, rng: np.random.Generator) -> Tensor:
    """N masks (N, S, S) of 0 and 1 -> wrong ones, same shape. Most are a little wrong, some a lot; empty ones stay."""
    count, size = masks.shape[0], masks.shape[-1]
    unit = (torch.arange(size) + 0.5) * 2 / size - 1
    flows = torch.stack(torch.meshgrid(unit, unit, indexing="xy"), -1).repeat(count, 1, 1, 1)
    for flow, mask in zip(flows, masks.cpu(), strict=True):
        inside = mask > 0
        if not inside.any():
            continue
        low, high = _ends(inside.any(0)), _ends(inside.any(1))
        centre = torch.tensor([sum(low) / size - 1, sum(high) / size - 1])
        extent = torch.tensor([(low[1] - low[0]) * 2 / size, (high[1] - high[0]) * 2 / size])
        much = float(rng.random())  # one draw for all three: a mask is slightly or badly wrong as a whole
        scale = math.exp(-much * SCALE * rng.uniform(-1, 1))
        shift = torch.from_numpy(rng.uniform(-1, 1, 2).astype(np.float32)) * much * SHIFT * extent
        nodes = torch.from_numpy(rng.uniform(-1, 1, (1, 2, NODES, NODES)).astype(np.float32))
        bend = F.interpolate(nodes, (size, size), mode="bicubic", align_corners=True)[0].permute(1, 2, 0)
        flow.sub_(centre).mul_(scale).add_(centre).add_(shift).add_(bend * much * BEND * extent)
    wrong = F.grid_sample(masks[:, None].float(), flows.to(masks.device), align_corners=False)[:, 0]
    return (wrong > 0.5).to(masks.dtype)


def _ends(line: Tensor) -> tuple[int, int]:
    """First and one past the last set place."""
    places = torch.nonzero(line)[:, 0]
    return int(places[0]), int(places[-1]) + 1
