"""The two verbs of a Sam1 as graphs."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from voxtrace.export.verbs import OBJECTS, Axes, Inputs, Verb
from voxtrace.model.sam1 import Sam1


class Encode(Verb):
    """images (B, 3, S, S), fitted and stretched to 0..1 -> embedding."""

    name, outputs = "encode", ("embedding",)
    axes: ClassVar[Axes] = {"images": {0: "frames"}}
    net: Sam1

    def examples(self) -> Inputs:
        size = self.net.config.image_size
        return {"images": torch.rand(2, 3, size, size)}

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        return (self.net.encode(inputs["images"]),)


class Begin(Verb):
    """Sam1.decode, the first mask: prompts must be complete, as a box's two corners are."""

    name, outputs = "begin", ("logits", "iou")
    axes: ClassVar[Axes] = {"points": {0: "objects", 1: "points"}, "labels": {0: "objects", 1: "points"}}
    net: Sam1

    def examples(self) -> Inputs:
        config = self.net.config
        side = config.embedding_size
        return {
            "embedding": torch.zeros(1, config.dim, side, side),
            "points": torch.rand(OBJECTS, 3, 2) * config.image_size,
            "labels": torch.tensor([[2, 3, -1], [2, 3, -1]], dtype=torch.int32),
        }

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        masks = self.net.decode(inputs["embedding"], inputs["points"], inputs["labels"])
        return masks.logits[:, :1], masks.iou[:, 0].clamp(0, 1)


VERBS: tuple[type[Verb], ...] = (Encode, Begin)
