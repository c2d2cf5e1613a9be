"""The refiner by itself behind a net's verbs, so that the same clips and losses teach it first.

It is a third of voxtrace-small's work and draws nearly all of its mask; alone it sees twice the pictures in the same
time. Nothing is remembered here but the frame before.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from voxtrace.model.mask_decoder import Masks
from voxtrace.model.sam2 import MASK_BIAS, MASK_SCALE, Encoded, Heads, Memory, Sam2, Shown
from voxtrace.model.sketch import sketch


class RefinerAlone(Sam2):
    """A Sam2 whose trunk, memory and decoder rest. Its state dict is the whole net's."""

    def encode(self, images: Tensor) -> Encoded:
        """The standardised images alone."""
        images = self.standard(images)
        return Encoded(images.new_zeros(len(images), 0, 0, 0), (), images)

    def begin(self, encoded: Encoded, points_xy: Tensor, labels: Tensor, masks: Tensor | None = None) -> Heads:
        """As Sam2.begin, without the decoder."""
        assert encoded.image is not None
        drawn = sketch(points_xy, labels, self.config.image_size, self.hint_size, masks)
        return self._drawn(encoded.image, (Shown(drawn, encoded.image),))

    def begin_with_mask(self, encoded: Encoded, masks: Tensor) -> Heads:
        """The mask itself; there is no pointer to make."""
        sure = masks.float() * MASK_SCALE + MASK_BIAS
        score = sure.flatten(1).amax(1, keepdim=True)
        return Heads(sure, score[:, 0], sure.new_zeros(len(sure), 0), score, None)

    def follow(self, encoded: Encoded, memory: Memory, *shown: Shown) -> Heads:
        """As Sam2.follow, knowing only the frames shown; without any, nothing tells where the object is."""
        assert encoded.image is not None
        return self._drawn(encoded.image, self.hints(shown, encoded.image, len(memory.tokens)))

    def remember(self, encoded: Encoded, logits: Tensor, object_score: Tensor, certain: bool | Tensor) -> Tensor:
        """Nothing."""
        return logits.new_zeros(len(logits), 0)

    def recall(self, memories, pointers, pointer_span=0) -> Memory:  # type: ignore[no-untyped-def]
        """Nothing."""
        return Memory(memories[0][0], memories[0][0], 0)

    def _drawn(self, image: Tensor, shown: Sequence[Shown]) -> Heads:
        logits, presence = self.redrawn(image, shown)
        iou = logits.new_ones(len(logits), 4)
        masks = Masks(logits.expand(-1, 4, -1, -1), iou, logits.new_zeros(len(logits), 4, 0), presence)
        return Heads(logits, iou[:, 0], masks.tokens[:, 0], presence, masks)
