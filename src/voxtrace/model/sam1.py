"""A net of the SAM 1 family, for single images: two verbs, on tensors, without state.

    encode    images             -> embedding      once an image
    begin     embedding, prompts -> Masks          N objects at once

SAM 1 has no memory, so it can neither follow nor remember. Parameter names are the official ones, so an official state
dict loads strictly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.errors import ModelError
from voxtrace.model.mask_decoder import MaskDecoder, Masks
from voxtrace.model.prompt_encoder import PADDING_LABEL, PromptEncoder
from voxtrace.model.tinyvit import TinyVitConfig
from voxtrace.model.two_way import TwoWayTransformer
from voxtrace.model.vit_sam1 import MLPBlock, Sam1VitConfig
from voxtrace.prompts import BOX_START


class EncoderConfig(Protocol):
    """What an image encoder's numbers must offer."""

    @property
    def image_size(self) -> int:
        """Side of the images that it takes."""
        ...

    @property
    def embedding_size(self) -> int:
        """Side of the embedding."""
        ...

    def build(self, dim: int) -> nn.Module:
        """The encoder, with random weights: (B, 3, S, S) -> (B, dim, h, w)."""
        ...


@dataclass(frozen=True, slots=True)
class Sam1Config:
    """A net of the family.

    keep_aspect: frames are scaled by their longest side and padded; otherwise squashed to the square.
    iou_hidden: width of the head that expects the IoU.
    """

    name: str
    encoder: EncoderConfig
    keep_aspect: bool = False
    dim: int = 256
    mlp_dim: int = 2048
    iou_hidden: int = 256

    @property
    def image_size(self) -> int:
        """Side of the images that the net takes, in pixels."""
        return self.encoder.image_size

    @property
    def embedding_size(self) -> int:
        """Side of the embedding."""
        return self.encoder.embedding_size


MEDSAM = Sam1Config("medsam", Sam1VitConfig())
LITEMEDSAM = Sam1Config("litemedsam", TinyVitConfig(), keep_aspect=True)
SAM1_CONFIGS: dict[str, Sam1Config] = {config.name: config for config in (MEDSAM, LITEMEDSAM)}


class Sam1(nn.Module):
    """Built from a config."""

    def __init__(self, config: Sam1Config) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.image_encoder = config.encoder.build(dim)
        self.prompt_encoder = PromptEncoder(dim, config.image_size, config.embedding_size)
        transformer = TwoWayTransformer(dim, config.mlp_dim, make_mlp=lambda w, hidden: MLPBlock(w, hidden, F.relu))
        self.mask_decoder = MaskDecoder(
            dim, transformer, config.iou_hidden, high_res=False, object_score=False, bounded_iou=False
        )

    def encode(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) images in [0, 1] (MedSAM, LiteMedSAM) -> embedding (B, C, h, w)."""
        return self.image_encoder(images)

    def begin(self, embedding: Tensor, points_xy: Tensor, labels: Tensor, masks: Tensor | None = None) -> Masks:
        """All four masks of N objects: the first for clear prompts, the other three for ambiguous ones.

        embedding: (1, C, h, w). points_xy (N, P, 2) in image pixels, 0 = centre of the first; labels (N, P) as in
        PromptEncoder. masks: (N, 1, 4h, 4w) logits of an earlier answer, or None. Raises ModelError if some of the
        objects have a box and others have none: they are asked differently.
        """
        boxed = (labels >= BOX_START).any(1)
        if not boxed.any():  # SAM 1 was trained with a padding point wherever there is no box
            points_xy = F.pad(points_xy, (0, 0, 0, 1))
            labels = F.pad(labels, (0, 1), value=PADDING_LABEL)
        elif not boxed.all():
            raise ModelError("objects with and without a box cannot be decoded together; call begin once for each kind")
        return self.decode(embedding, points_xy, labels, masks)

    def decode(self, embedding: Tensor, points_xy: Tensor, labels: Tensor, masks: Tensor | None = None) -> Masks:
        """`begin` for prompts that are complete: nothing depends on their values, so the graph can be exported."""
        sparse, dense = self.prompt_encoder(points_xy, labels, masks)
        return self.mask_decoder(embedding, self.prompt_encoder.position(), sparse, dense)
