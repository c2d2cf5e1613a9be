"""SAM's prompt encoder: clicks and box corners become tokens, a mask becomes a map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtrace.model.layers import LayerNorm2d
from voxtrace.model.position import PositionEmbeddingRandom

PADDING_LABEL = -1


class PromptEncoder(nn.Module):
    """Labels: 0 negative, 1 positive, 2 and 3 the box's corners, -1 padding (no point)."""

    def __init__(self, dim: int, image_size: int, embedding_size: int, mask_channels: int = 16) -> None:
        super().__init__()
        self.image_size = image_size
        self.embedding_size = embedding_size
        self.pe_layer = PositionEmbeddingRandom(dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_channels // 4),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, kernel_size=2, stride=2),
            LayerNorm2d(mask_channels),
            nn.GELU(),
            nn.Conv2d(mask_channels, dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, dim)

    @property
    def mask_size(self) -> int:
        """Side of the masks that `forward` takes: four times the embedding's."""
        return 4 * self.embedding_size

    def position(self) -> Tensor:
        """(1, C, h, w): where each cell of the image embedding is."""
        return self.pe_layer.grid(self.embedding_size, self.embedding_size)

    def forward(self, points_xy: Tensor, labels: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embed N objects' prompts.

        points_xy: (N, P, 2) in the net's image pixels, 0 = centre of the first pixel. labels: (N, P).
        masks: (N, 1, mask_size, mask_size) logits, or None.
        Returns sparse (N, P, C) and dense (N, C, h, w).
        """
        sparse = self._points(points_xy, labels)
        if masks is not None:
            return sparse, self.mask_downscaling(masks)
        dense = self.no_mask_embed.weight.reshape(1, -1, 1, 1)
        return sparse, dense.expand(labels.shape[0], -1, self.embedding_size, self.embedding_size)

    def _points(self, points_xy: Tensor, labels: Tensor) -> Tensor:
        placed = self.pe_layer((points_xy + 0.5) / self.image_size)
        kinds = torch.cat([self.not_a_point_embed.weight, *(e.get_parameter("weight") for e in self.point_embeddings)])
        is_point = (labels != PADDING_LABEL).unsqueeze(-1).to(placed.dtype)
        return placed * is_point + kinds[(labels + 1).long()]
