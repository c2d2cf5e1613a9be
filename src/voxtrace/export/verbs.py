"""The verbs of a Sam2 on tensors alone: what is a Python value elsewhere is an input or a number of the config here.

`forward` takes its inputs by name, as `examples` gives them, and returns the tensors named in `outputs`; docs/export.md
says what they mean. Examples are what a graph is traced with: a varying axis is 2 or more there, or tracing would take
its length for fixed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from voxtrace.engines.batching import MEAN, STD
from voxtrace.model.mask_decoder import Masks
from voxtrace.model.object_pointer import pointer_tokens
from voxtrace.model.sam2 import CORRECTED_SCORE, NUM_MEMORIES, Encoded, Heads, Memory, Sam2, no_points
from voxtrace.model.sketch import sketch

Inputs = dict[str, Tensor]
Axes = dict[str, dict[int, str]]
HEADS = ("logits", "iou", "pointer", "object_score")
OBJECTS, POINTS, MEMORIES, POINTERS, SHOWN = 2, 3, 3, 4, 2  # in examples


class Verb(nn.Module, ABC):
    """One graph. axes: an input's name -> its varying axes and what they count."""

    name: str
    outputs: tuple[str, ...]
    axes: ClassVar[Axes]

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    @abstractmethod
    def examples(self) -> Inputs:
        """An input of each name, in the graph's order."""

    @abstractmethod
    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        """The outputs."""


class Encode(Verb):
    """images (B, 3, S, S), RGB 0..255 -> what `begin`, `given`, `follow` and `remember` want of a frame."""

    name = "encode"
    axes: ClassVar[Axes] = {"images": {0: "frames"}}
    net: Sam2
    mean: Tensor
    std: Tensor

    def __init__(self, net: Sam2) -> None:
        super().__init__(net)
        self.outputs = tuple(frame_inputs(net))
        self.register_buffer("mean", 255 * torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(STD)[:, None, None], persistent=False)

    def examples(self) -> Inputs:
        size = self.net.config.image_size
        return {"images": torch.randn(2, 3, size, size)}

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        encoded = self.net.encode((inputs["images"] - self.mean) / self.std)
        picture = () if encoded.image is None else (encoded.image,)
        return encoded.embedding, *encoded.high_res, *picture


class Begin(Verb):
    """Sam2.begin, with a mask (`hinted` 1) and without (0)."""

    name, outputs = "begin", HEADS
    axes: ClassVar[Axes] = {
        "points": {0: "objects", 1: "points"},
        "labels": {0: "objects", 1: "points"},
        "hint": {0: "objects"},
    }
    net: Sam2

    def examples(self) -> Inputs:
        side = self.net.hint_size
        return {
            **frame_inputs(self.net),
            "points": torch.rand(OBJECTS, POINTS, 2) * self.net.config.image_size,
            "labels": torch.tensor([[2, 3, 1], [2, 3, 0]], dtype=torch.int32),
            "hint": torch.randn(OBJECTS, 1, side, side),
            "hinted": torch.tensor(1.0),
            "ambiguous": torch.tensor(False),
        }

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        encoded, points, labels = frame(inputs), inputs["points"], inputs["labels"]
        known, hinted = inputs["hint"], inputs["hinted"] > 0
        decode = self._refined if self.net.config.hinted else self._decoded
        candidates = decode(encoded, points, labels, known, hinted)
        return heads(self.net.chosen(candidates, inputs["ambiguous"]))

    def _decoded(self, encoded: Encoded, points: Tensor, labels: Tensor, known: Tensor, hinted: Tensor) -> Masks:
        sparse, bare = self.net.prompted(points, labels, None)
        dense = torch.where(hinted, self.net.prompted(points, labels, known)[1], bare)
        return self.net.candidates(self.net.without_memory(encoded), encoded, sparse, dense)

    def _refined(self, encoded: Encoded, points: Tensor, labels: Tensor, known: Tensor, hinted: Tensor) -> Masks:
        net, size = self.net, self.net.config.image_size
        assert encoded.image is not None
        bare, over = (sketch(points, labels, size, net.hint_size, mask) for mask in (None, known))
        drawn = torch.where(hinted, over, bare)
        candidates = net.candidates(net.without_memory(encoded), encoded, *net.prompted(points, labels, drawn))
        change, presence = net.drawing_hand()(encoded.image, drawn, encoded.image)
        candidates = net.refined(candidates, net.hint_scale * drawn + change, presence)
        score = candidates.object_score
        return candidates._replace(object_score=torch.where(hinted, score.clamp(min=CORRECTED_SCORE), score))


class Given(Verb):
    """Sam2.begin_with_mask."""

    name, outputs = "given", HEADS
    axes: ClassVar[Axes] = {"masks": {0: "objects"}}
    net: Sam2

    def examples(self) -> Inputs:
        size = self.net.config.image_size
        return {**frame_inputs(self.net), "masks": (torch.randn(OBJECTS, 1, size, size) > 0).float()}

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        return heads(self.net.begin_with_mask(frame(inputs), inputs["masks"]))


class Follow(Verb):
    """Sam2.recall and Sam2.follow; a hinted net is always shown something, if only the frame itself without a mask."""

    name, outputs = "follow", HEADS
    axes: ClassVar[Axes] = {
        "memories": {0: "objects", 1: "memories"},
        "memory_times": {0: "memories"},
        "pointers": {0: "objects", 1: "pointers"},
        "pointer_times": {0: "pointers"},
        "shown_logits": {0: "objects", 1: "shown"},
        "shown_images": {0: "objects", 1: "shown"},
        "shown_weights": {0: "shown"},
    }
    net: Sam2

    def examples(self) -> Inputs:
        config = self.net.config
        size, count = config.image_size, (OBJECTS, SHOWN)
        inputs = {
            **frame_inputs(self.net),
            "memories": torch.randn(OBJECTS, MEMORIES, memory_tokens(self.net), config.memory_dim),
            "memory_times": torch.tensor([0, 1, -1]),
            "pointers": torch.randn(OBJECTS, POINTERS, config.dim),
            "pointer_times": torch.linspace(0, 1, POINTERS),
        }
        if config.hinted:
            inputs["shown_logits"] = torch.randn(*count, 1, size, size)
            inputs["shown_images"] = torch.randn(*count, 3, size, size)
            inputs["shown_weights"] = torch.tensor([1.0, 0.5])
            inputs["placed"] = torch.tensor(1.0)
        return inputs

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        net, encoded = self.net, frame(inputs)
        conditioned = net.conditioned(encoded, self._memory(inputs))
        if not net.config.hinted:
            prompt = net.prompted(*no_points(conditioned), None)
            return heads(net.chosen(net.candidates(conditioned, encoded, *prompt), net.config.multimask_following))
        hints = net.sharpened(inputs["shown_logits"])
        prompt = net.prompted(*no_points(conditioned), inputs["placed"] * hints[:, 0])
        candidates = net.candidates(conditioned, encoded, *prompt)
        candidates = net.refined(candidates, *self._redrawn(encoded, conditioned, hints, inputs))
        return heads(net.chosen(candidates, net.config.multimask_following))

    def _memory(self, inputs: Inputs) -> Memory:
        """Sam2.recall, of objects whose memories lie in one tensor."""
        net, memories, times = self.net, inputs["memories"], inputs["memory_times"]
        rows = torch.where(times > 0, times, NUM_MEMORIES) - 1
        in_time = net.maskmem_tpos_enc[rows][:, :, 0] * (times >= 0)[:, None, None]
        places = (memory_positions(net) + in_time).flatten(0, 1).expand(memories.shape[0], -1, -1)
        when = net.obj_ptr_tpos_proj(inputs["pointer_times"], net.config.memory_dim)
        pointers, moments = pointer_tokens(inputs["pointers"], when)
        tokens = torch.cat((memories.flatten(1, 2), pointers), dim=1)
        return Memory(tokens, torch.cat((places, moments), dim=1), pointers.shape[1])

    def _redrawn(self, encoded: Encoded, conditioned: Tensor, hints: Tensor, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Sam2.redrawn, of N objects with F frames shown as one batch of N * F."""
        net, images, placed = self.net, inputs["shown_images"], inputs["placed"]
        objects, shown = hints.shape[0], hints.shape[1]
        weights = (inputs["shown_weights"] / inputs["shown_weights"].sum())[:, None]
        assert encoded.image is not None
        remembered = conditioned[:, None].expand(-1, shown, -1, -1, -1).flatten(0, 1)
        picture = encoded.image.expand(objects * shown, -1, -1, -1)
        change, presence = net.drawing_hand()(picture, hints.flatten(0, 1), images.flatten(0, 1), remembered, placed)
        logits = net.hint_scale * placed * hints + change.unflatten(0, (objects, shown))
        return (weights[..., None, None] * logits).sum(1), (weights * presence.unflatten(0, (objects, shown))).sum(1)


class Remember(Verb):
    """Sam2.remember, as tokens."""

    name, outputs = "remember", ("memory",)
    axes: ClassVar[Axes] = {"logits": {0: "objects"}, "object_score": {0: "objects"}}
    net: Sam2

    def examples(self) -> Inputs:
        net, side = self.net, self.net.hint_size
        return {
            "embedding": frame_inputs(net)["embedding"],
            "logits": torch.randn(OBJECTS, 1, side, side),
            "object_score": torch.tensor([[3.0], [-3.0]]),
            "certain": torch.tensor(False),
        }

    def forward(self, inputs: Inputs) -> tuple[Tensor, ...]:
        net = self.net
        kept = net.remember(frame(inputs), inputs["logits"], inputs["object_score"], inputs["certain"])
        return (net.spatial_perceiver.tokens(kept),)


VERBS: tuple[type[Verb], ...] = (Encode, Begin, Given, Follow, Remember)


def frame_inputs(net: Sam2) -> Inputs:
    """What the net's graphs want of one frame, by name: zeros of the right shapes."""
    config, side = net.config, net.config.embedding_size
    inputs = {"embedding": torch.zeros(1, config.dim, side, side)}
    if config.high_res:
        inputs["high_res_0"] = torch.zeros(1, config.dim // 8, 4 * side, 4 * side)
        inputs["high_res_1"] = torch.zeros(1, config.dim // 4, 2 * side, 2 * side)
    if config.hinted:
        inputs["image"] = torch.zeros(1, 3, config.image_size, config.image_size)
    return inputs


def frame(inputs: Inputs) -> Encoded:
    """The frame among a graph's inputs."""
    maps = tuple(inputs[name] for name in ("high_res_0", "high_res_1") if name in inputs)
    return Encoded(inputs["embedding"], maps, inputs.get("image"))


def heads(found: Heads) -> tuple[Tensor, ...]:
    """As HEADS names them."""
    return found[:4]


def memory_positions(net: Sam2) -> Tensor:
    """(1, T, memory_dim): where the tokens of one memory are."""
    side = net.config.embedding_size
    return net.spatial_perceiver.positions(net.maskmem_tpos_enc.new_zeros(1, net.config.memory_dim, side, side))


def memory_tokens(net: Sam2) -> int:
    """T, the tokens of one memory."""
    return memory_positions(net).shape[1]
