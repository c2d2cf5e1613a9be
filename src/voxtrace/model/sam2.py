"""A net of the SAM 2 family: the four verbs, on tensors, without state.

    encode    images                            -> Encoded
    begin     encoded, points | masks           -> Heads      a prompted frame
    follow    encoded, memories and pointers    -> Heads      any other frame
    remember  encoded, masks, object score      -> memory map

Tensors of N objects have N first; an Encoded of one frame serves all of them. Parameter names are the official ones,
so an official state dict loads strictly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from voxtrace.model.config import Sam2Config
from voxtrace.model.layers import MLP
from voxtrace.model.mask_decoder import MaskDecoder, Masks, choose, resize
from voxtrace.model.memory_attention import MemoryAttention, MemoryAttentionLayer
from voxtrace.model.memory_encoder import MemoryEncoder
from voxtrace.model.neck import ImageEncoder
from voxtrace.model.object_pointer import NoPointerTime, PointerTime, hide_absent, pointer_tokens
from voxtrace.model.position import sine_map
from voxtrace.model.prompt_encoder import PADDING_LABEL, PromptEncoder
from voxtrace.model.refiner import Refiner, mirrored
from voxtrace.model.sketch import sketch
from voxtrace.model.two_way import TwoWayTransformer

NO_OBJECT_LOGIT = -1024.0
MASK_SCALE, MASK_BIAS = 20.0, -10.0  # a certain mask as logits; and how probabilities are stretched for the memory
SHARPENING = 2.0  # of masks that a hinted net drew itself, before it is shown them again
CORRECTED_SCORE = 1.0  # hinted nets: the least object score where a known mask is corrected
NUM_MEMORIES = 7
POINTER_SPAN = 15


class Encoded(NamedTuple):
    """embedding (B, C, h, w) at stride 16; high_res: maps at strides 4 and 8 for the decoder, or none;
    image: the standardised image (B, 3, S, S), kept for hinted nets only."""

    embedding: Tensor
    high_res: tuple[Tensor, ...]
    image: Tensor | None = None

    def frame(self, index: int) -> Encoded:
        """One frame of a batch."""
        return self.frames(slice(index, index + 1))

    def frames(self, rows: slice) -> Encoded:
        """Some frames of a batch."""
        image = None if self.image is None else self.image[rows]
        return Encoded(self.embedding[rows], tuple(m[rows] for m in self.high_res), image)


class Heads(NamedTuple):
    """What the decoder says of N objects, one mask each.

    logits (N, 1, hint_size, hint_size); iou (N,); pointer (N, C); object_score (N, 1) logits;
    candidates: all four masks (training).
    """

    logits: Tensor
    iou: Tensor
    pointer: Tensor
    object_score: Tensor
    candidates: Masks | None


class Shown(NamedTuple):
    """What a hinted net is shown of an earlier frame: N masks' logits (N, 1, S, S), its image (1 or N, 3, S, S), and
    how much what it says counts beside what other frames say. placed: whether the objects are about where they are
    there; else, in a set without order, it only tells what they look like."""

    logits: Tensor
    image: Tensor
    weight: float = 1.0
    placed: bool = True


class Memory(NamedTuple):
    """N objects' memories in tokens (N, M, memory_dim), their positions, and how many of the last are pointers."""

    tokens: Tensor
    positions: Tensor
    pointers: int


class Sam2(nn.Module):
    """Built from a config; every switch is an object chosen here."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.config = config
        dim, memory_dim = config.dim, config.memory_dim
        trunk = config.trunk.build()
        self.image_encoder = ImageEncoder(trunk, config.neck.build(dim, config.trunk.channels), config.neck.scalp)
        self.sam_prompt_encoder = PromptEncoder(dim, config.image_size, config.embedding_size)
        self.sam_mask_decoder = MaskDecoder(
            dim, TwoWayTransformer(dim, config.mlp_dim), config.iou_hidden, high_res=config.high_res
        )
        layers: list[nn.Module] = [
            MemoryAttentionLayer(dim, memory_dim, config.mlp_dim, config.keeping.attention(dim, memory_dim))
            for _ in range(config.memory_layers)
        ]
        self.memory_attention = MemoryAttention(layers, dim)
        self.memory_encoder = MemoryEncoder(dim, memory_dim)
        self.spatial_perceiver = config.keeping.build(memory_dim)
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.obj_ptr_proj = MLP(dim, dim, dim, 3)
        self.obj_ptr_tpos_proj = PointerTime(dim, memory_dim) if config.version_2_1 else NoPointerTime()
        self.maskmem_tpos_enc = _small(NUM_MEMORIES, 1, 1, memory_dim)
        self.no_mem_embed = _small(1, 1, dim)
        self.no_mem_pos_enc = _small(1, 1, dim)
        self.no_obj_ptr = _small(1, dim)
        if config.hinted:
            self.hint_scale = nn.Parameter(torch.tensor(0.1))
            self.decoder_scale = nn.Parameter(torch.tensor(0.05))
            self.refiner = Refiner(dim)
        # 2.0 adds nothing to the memory of a frame without the object; a null object saves the `if`.
        if config.version_2_1:
            self.no_obj_embed_spatial = _small(1, memory_dim)
        else:
            self.register_buffer("no_obj_embed_spatial", torch.zeros(1, memory_dim), persistent=False)

    def encode(self, images: Tensor) -> Encoded:
        """(B, 3, S, S) normalised images -> Encoded. Once a frame, whatever is asked of it later."""
        images = self.standard(images)
        *fine, embedding = self.image_encoder(images)
        if not self.config.high_res:
            return Encoded(embedding, ())
        decoder = self.sam_mask_decoder
        maps = (decoder.conv_s0(fine[0]), decoder.conv_s1(fine[1]))
        return Encoded(embedding, maps, images if self.config.hinted else None)

    def standard(self, images: Tensor) -> Tensor:
        """Images (B, 3, S, S) as the trunk wants them: each of mean 0 and deviation 1 where the config says so."""
        if not self.config.standardised:
            return images
        spread, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True)
        return (images - mean) / (spread + 1e-3)

    @property
    def hint_size(self) -> int:
        """Side of a mask's logits, as they are given and returned: stride 4, or every pixel for hinted nets."""
        return self.config.image_size if self.config.hinted else self.sam_prompt_encoder.mask_size

    def begin(self, encoded: Encoded, points_xy: Tensor, labels: Tensor, masks: Tensor | None = None) -> Heads:
        """Decode N objects from clicks and box corners, with an earlier mask's logits as a hint.

        points_xy (N, P, 2) in image pixels, 0 = centre of the first; labels (N, P), -1 pads.
        masks: (N, 1, hint_size, hint_size) logits or None. What a click must not change of them is the caller's
        business (engines/correcting.py).
        """
        few, many = self.config.multimask
        ambiguous = few <= points_xy.shape[1] <= many
        known = masks
        if self.config.hinted:
            masks = sketch(points_xy, labels, self.config.image_size, self.hint_size, known)
        candidates = self.candidates(self.without_memory(encoded), encoded, *self.prompted(points_xy, labels, masks))
        if encoded.image is not None and masks is not None:
            candidates = self.refined(candidates, *self.redrawn(encoded.image, [Shown(masks, encoded.image)]))
            if known is not None and not self.training:  # what a person corrects is there
                candidates = candidates._replace(object_score=candidates.object_score.clamp(min=CORRECTED_SCORE))
        return self.chosen(candidates, ambiguous)

    def begin_with_mask(self, encoded: Encoded, masks: Tensor) -> Heads:
        """Take N given masks (N, 1, S, S) of 0 and 1 as the answer; the decoder only makes the pointers.

        Differs from SAM 2 in nothing: the mask is not predicted again (sam2_base.py, _use_mask_as_output).
        """
        masks = masks.float()
        sure = masks * MASK_SCALE + MASK_BIAS
        logits = sure if self.config.hinted else resize(sure, sure.shape[-1] // 4, antialias=True)
        hint = self.mask_downsample(masks)
        # Official code hands the raw embedding to the decoder here, without no_mem_embed.
        candidates = self.candidates(encoded.embedding, encoded, *self.prompted(*no_points(masks), hint))
        heads = self.chosen(candidates, ambiguous=False)
        present = masks.flatten(1).any(1, keepdim=True)
        score = torch.where(present, MASK_SCALE + MASK_BIAS, MASK_BIAS)
        pointer = hide_absent(heads.pointer, score, self.no_obj_ptr)
        return Heads(logits, torch.ones_like(heads.iou), pointer, score, None)

    def follow(self, encoded: Encoded, memory: Memory, *shown: Shown) -> Heads:
        """Decode N objects from what is remembered of them.

        shown: earlier frames with their masks, the latest first; only nets with `config.hinted` look at them.
        """
        count = memory.tokens.shape[0]
        conditioned = self.conditioned(encoded, memory)
        if encoded.image is None:
            return self.chosen(
                self.candidates(conditioned, encoded, *self.prompted(*no_points(conditioned), None)),
                self.config.multimask_following,
            )
        shown = self.hints(shown, encoded.image, count)
        known = shown[0].placed * shown[0].logits
        candidates = self.candidates(conditioned, encoded, *self.prompted(*no_points(conditioned), known))
        candidates = self.refined(candidates, *self.redrawn(encoded.image, shown, conditioned))
        return self.chosen(candidates, self.config.multimask_following)

    def conditioned(self, encoded: Encoded, memory: Memory) -> Tensor:
        """(N, C, h, w): the frame's embedding after it has looked at N objects' memories."""
        embedding = encoded.embedding
        return self.memory_attention(
            embedding, sine_map(embedding), memory.tokens, memory.positions, unplaced=memory.pointers
        )

    def hints(self, shown: Sequence[Shown], image: Tensor, count: int) -> tuple[Shown, ...]:
        """Masks of earlier frames as the refiner wants them: certain in at most MASK_SCALE / 2 and, once trained, twice
        as sharp as they were drawn, or borders would soften from frame to frame. Nothing known where there are none."""
        if not shown:
            return (Shown(image.new_zeros(count, 1, *image.shape[-2:]), image),)
        return tuple(s._replace(logits=self.sharpened(s.logits)) for s in shown)

    def sharpened(self, logits: Tensor) -> Tensor:
        """Logits as they were drawn -> as `hints` shows them."""
        return ((1.0 if self.training else SHARPENING) * logits).clamp(MASK_BIAS, -MASK_BIAS)

    def remember(self, encoded: Encoded, logits: Tensor, object_score: Tensor, certain: bool | Tensor) -> Tensor:
        """N objects' memories of one frame: maps (N, memory_dim, h, w), or tokens (N, 512, memory_dim) in EdgeTAM.

        logits (N, 1, any, any), resized to the image. certain: a person's prompt made the mask; it is cut to 0 and 1
        (a truth, or a tensor with one).
        """
        logits = resize(logits, self.config.image_size)
        probability = logits.sigmoid()
        if certain is not False:
            cut = (logits > 0).to(logits.dtype)
            if self.training:  # with the gradient of what was cut: SAM 2's training does not cut
                cut = cut + (probability - probability.detach())
            probability = torch.where(certain, cut, probability) if isinstance(certain, Tensor) else cut
        memory = self.memory_encoder(encoded.embedding, probability * MASK_SCALE + MASK_BIAS)
        absent = (object_score <= 0).to(memory.dtype)[..., None, None]
        return self.spatial_perceiver(memory + absent * self.no_obj_embed_spatial[..., None, None])

    def recall(
        self,
        memories: Sequence[tuple[Tensor, int | None]],
        pointers: Sequence[tuple[Tensor, int]],
        pointer_span: int = POINTER_SPAN,
    ) -> Memory:
        """Lay memories, as `remember` gave them, and pointers (N, C) out as tokens.

        Times: a memory's 0 is a prompted frame, d >= 1 that many frames ago, None no place in time; a pointer's is its
        signed distance, measured in units of `pointer_span`.
        """
        space = self.spatial_perceiver.positions(memories[0][0])
        tokens = [self.spatial_perceiver.tokens(m) for m, _ in memories]
        positions = [space if time is None else space + self._memory_time(time) for _, time in memories]
        positions = [p.expand(tokens[0].shape[0], -1, -1) for p in positions]
        count = 0
        if pointers:
            stacked = torch.stack([p for p, _ in pointers], dim=1)
            times = stacked.new_tensor([time for _, time in pointers]) / max(pointer_span, 1)
            pointer, place = pointer_tokens(stacked, self.obj_ptr_tpos_proj(times, self.config.memory_dim))
            tokens.append(pointer)
            positions.append(place)
            count = pointer.shape[1]
        return Memory(torch.cat(tokens, dim=1), torch.cat(positions, dim=1), count)

    def _memory_time(self, time: int) -> Tensor:
        """(1, 1, memory_dim). The table ends with the prompted frames' row; before it, rows by distance."""
        return self.maskmem_tpos_enc[time - 1]

    def without_memory(self, encoded: Encoded) -> Tensor:
        """(1, C, h, w): the embedding of a prompted frame, as the decoder was trained to see it."""
        return encoded.embedding + self.no_mem_embed[..., None].transpose(1, 2)

    def prompted(self, points_xy: Tensor, labels: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """Sparse (N, P + 1, C) and dense (N, C, h, w) embeddings of prompts; masks of any size, or None."""
        padding = points_xy.new_zeros(points_xy.shape[0], 1, 2), labels.new_full((labels.shape[0], 1), PADDING_LABEL)
        points_xy, labels = torch.cat((points_xy, padding[0]), 1), torch.cat((labels, padding[1]), 1)
        if masks is not None:
            masks = resize(masks, self.sam_prompt_encoder.mask_size, antialias=True)
        return self.sam_prompt_encoder(points_xy, labels, masks)

    def candidates(self, embedding: Tensor, encoded: Encoded, sparse: Tensor, dense: Tensor) -> Masks:
        """All four masks of SAM's decoder, for prompts as `prompted` gives them."""
        position = self.sam_prompt_encoder.position()
        return self.sam_mask_decoder(embedding, position, sparse, dense, encoded.high_res)

    def refined(self, candidates: Masks, logits: Tensor, presence: Tensor) -> Masks:
        """Hinted nets: the masks are the refiner's (as `redrawn` gives them) with a share of the decoder's."""
        logits = logits + self.decoder_scale * resize(candidates.logits, logits.shape[-1])
        return candidates._replace(logits=logits, object_score=candidates.object_score + presence)

    def redrawn(
        self, image: Tensor, shown: Sequence[Shown], conditioned: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits (N, 1, S, S) and presence (N, 1): the mean of what each frame shown says, by weight."""
        draw = self.drawing_hand()
        total = sum(s.weight for s in shown)
        drawn = [
            (s.weight / total, s.placed * s.logits, *draw(image, s.logits, s.image, conditioned, s.placed))
            for s in shown
        ]
        logits = sum(weight * (self.hint_scale * hint + change) for weight, hint, change, _ in drawn)
        return logits, sum(weight * presence for weight, _, _, presence in drawn)  # type: ignore[return-value]

    def drawing_hand(self) -> Callable[..., tuple[Tensor, Tensor]]:
        """The refiner, or its mean over mirror images."""
        return mirrored(self.refiner) if self.config.mirrored and not self.training else self.refiner

    def chosen(self, candidates: Masks, ambiguous: bool | Tensor) -> Heads:
        """One mask an object, and its pointer."""
        chosen = choose(candidates, ambiguous, self.config.stable and not self.training)
        present = chosen.object_score > 0
        logits = torch.where(present[..., None, None], chosen.logits, NO_OBJECT_LOGIT).float()
        pointer = hide_absent(self.obj_ptr_proj(chosen.tokens[:, 0]), chosen.object_score, self.no_obj_ptr)
        return Heads(logits, chosen.iou[:, 0], pointer, chosen.object_score, candidates)


def no_points(like: Tensor) -> tuple[Tensor, Tensor]:
    """One padding point for each of N objects. `prompted` adds another: SAM 2 was trained with two."""
    return like.new_zeros(like.shape[0], 1, 2), like.new_full((like.shape[0], 1), PADDING_LABEL)


def _small(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.zeros(shape), std=0.02))
