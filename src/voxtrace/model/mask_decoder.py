"""SAM's mask decoder: prompt tokens and an image embedding become masks, their expected IoU and an object score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.layers import MLP, LayerNorm2d

STABILITY_DELTA, STABILITY_THRESHOLD = 0.05, 0.98
NUM_MASKS = 4  # one for clear prompts, three for ambiguous ones


class Masks(NamedTuple):
    """logits (N, M, 4h, 4w), iou (N, M), tokens (N, M, C), object_score (N, 1) logits."""

    logits: Tensor
    iou: Tensor
    tokens: Tensor
    object_score: Tensor


class MaskDecoder(nn.Module):
    """SAM 2's decoder; with `object_score` and `high_res` off and `bounded_iou` off it is SAM 1's."""

    def __init__(
        self,
        dim: int,
        transformer: nn.Module,
        iou_hidden: int = 256,
        high_res: bool = True,
        object_score: bool = True,
        bounded_iou: bool = True,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(NUM_MASKS, dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, kernel_size=2, stride=2),
            LayerNorm2d(dim // 4),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(MLP(dim, dim, dim // 8, 3) for _ in range(NUM_MASKS))
        self.iou_prediction_head = MLP(dim, iou_hidden, NUM_MASKS, 3, bounded=bounded_iou)
        self.high_res = high_res
        if high_res:
            self.conv_s0 = nn.Conv2d(dim, dim // 8, kernel_size=1)
            self.conv_s1 = nn.Conv2d(dim, dim // 4, kernel_size=1)
        self.object_score = object_score
        if object_score:
            self.obj_score_token = nn.Embedding(1, dim)
            self.pred_obj_score_head = MLP(dim, dim, 1, 3)

    def forward(
        self,
        image: Tensor,
        image_pe: Tensor,
        sparse: Tensor,
        dense: Tensor,
        high_res: Sequence[Tensor] = (),
    ) -> Masks:
        """All four masks of N objects.

        image: (N, C, h, w), or (1, C, h, w) shared by all. sparse (N, T, C), dense (N, C, h, w).
        high_res: maps (1 or N, C/8, 4h, 4w) and (1 or N, C/4, 2h, 2w), already through conv_s0 and conv_s1.
        """
        score_token = [self.obj_score_token.weight] if self.object_score else []
        own = torch.cat([*score_token, self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat((own.expand(sparse.shape[0], -1, -1), sparse), dim=1)
        source = image + dense
        tokens, image_out = self.transformer(source, image_pe, tokens)

        first = int(self.object_score)
        mask_tokens = tokens[:, first + 1 : first + 1 + NUM_MASKS]
        fine = self._upscale(image_out.transpose(1, 2).reshape(source.shape), high_res)
        weights = torch.stack([mlp(mask_tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1)
        logits = (weights @ fine.flatten(2)).unflatten(2, fine.shape[-2:])
        iou = self.iou_prediction_head(tokens[:, first])
        # Without the head every object counts as present: sigmoid(10) is 1.
        score = self.pred_obj_score_head(tokens[:, 0]) if self.object_score else iou.new_full((iou.shape[0], 1), 10.0)
        return Masks(logits, iou, mask_tokens, score)

    def _upscale(self, image: Tensor, high_res: Sequence[Tensor]) -> Tensor:
        """(N, C, h, w) -> (N, C/8, 4h, 4w); the fine maps are added where the scales meet."""
        if not self.high_res:
            return self.output_upscaling(image)
        up1, norm, act1, up2, act2 = self.output_upscaling
        fine, middle = high_res
        image = act1(norm(up1(image) + middle))
        return act2(up2(image) + fine)


def choose(masks: Masks, ambiguous: bool | Tensor, stable: bool) -> Masks:
    """One mask an object: (N, 1, ...) fields.

    ambiguous (a truth, or a tensor with one, where only a running graph knows): the best of the last three by expected
    IoU. Otherwise the first mask; when `stable` is asked for and it is not (its area changes between logits -0.05 and
    0.05), again the best of three, but still the first token: SAM 2 always remembers that one after a clear prompt.
    """
    best = 1 + masks.iou[:, 1:].argmax(1, keepdim=True)
    if ambiguous is True:
        return _take(masks, best, best)
    token = index = torch.zeros_like(best)
    if stable:
        index = torch.where(_stability(masks.logits[:, :1]) >= STABILITY_THRESHOLD, index, best)
    if ambiguous is not False:
        index, token = torch.where(ambiguous, best, index), torch.where(ambiguous, best, token)
    return _take(masks, index, token)


def _take(masks: Masks, index: Tensor, token: Tensor) -> Masks:
    height, width = masks.logits.shape[-2:]
    logits = masks.logits.gather(1, index[..., None, None].expand(-1, -1, height, width))
    tokens = masks.tokens.gather(1, token[..., None].expand(-1, -1, masks.tokens.shape[-1]))
    return Masks(logits, masks.iou.gather(1, index), tokens, masks.object_score)


def _stability(logits: Tensor) -> Tensor:
    """(N, M, H, W) -> (N, M): IoU of the masks cut at +delta and -delta; 1 where both are empty."""
    inner = (logits > STABILITY_DELTA).flatten(2).sum(2).float()
    outer = (logits > -STABILITY_DELTA).flatten(2).sum(2).float()
    return torch.where(outer > 0, inner / outer.clamp(min=1), torch.ones_like(inner))


def resize(x: Tensor, size: int | tuple[int, int], antialias: bool = False) -> Tensor:
    """Bilinear resizing of (N, C, H, W) as everywhere in SAM (corners not aligned)."""
    shape = (size, size) if isinstance(size, int) else size
    if tuple(x.shape[-2:]) == shape:
        return x
    if antialias and torch.compiler.is_compiling():  # graphs have no such resizing that all runtimes know
        rows, columns = (_weights(x, old, new) for old, new in zip(x.shape[-2:], shape, strict=True))
        return rows @ x @ columns.T
    return F.interpolate(x, size=shape, mode="bilinear", align_corners=False, antialias=antialias)


def _weights(like: Tensor, old: int, new: int) -> Tensor:
    """(new, old): how much each old pixel along a side adds to each new one; a triangle two new pixels wide."""
    wide = max(old / new, 1.0)
    centres = (torch.arange(new, dtype=like.dtype, device=like.device)[:, None] + 0.5) * (old / new)
    away = (torch.arange(old, dtype=like.dtype, device=like.device) + 0.5 - centres).abs() / wide
    weights = (1 - away).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)
