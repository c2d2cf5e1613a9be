"""What training recalls of earlier frames: the engine's entries, chosen by the memory policies of inference.

Each object of a batch has a bank of its own. Objects with equally many memories are followed in one call, others in
calls of their own, so nothing is padded and no object's outcome depends on what else is in the batch. Gradients go
through memories and pointers; masks that hinted nets are shown are taken as they are.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from voxtrace.engine import Recalled
from voxtrace.engines.batching import memory_layout
from voxtrace.engines.torch import TorchEntry, TorchFeatures, laid_out
from voxtrace.memory import OF_SETS, Bank, Fifo, MemoryPolicy, SelfSorting
from voxtrace.model.mask_decoder import Masks
from voxtrace.model.object_pointer import hide_absent
from voxtrace.model.sam2 import MASK_BIAS, MASK_SCALE, NO_OBJECT_LOGIT, Encoded, Heads, Sam2
from voxtrace.train.marking import PromptMix
from voxtrace.train.samples import Way


def policy_of(mix: PromptMix, way: Way, rng: np.random.Generator) -> MemoryPolicy:
    """SAM 2's own for clips; for sets the one that the recipe names."""
    if way != "set" or mix.memory == "fifo":
        return Fifo(memories=mix.memories)
    if mix.memory == "self-sorting":
        return SelfSorting(size=mix.bank, recall_count=mix.memories, seed=int(rng.integers(2**31)))
    return OF_SETS[mix.memory]


def recalled_in_order(
    policy: MemoryPolicy, bank: Bank, time: int, features: TorchFeatures, last: TorchEntry | None
) -> Recalled:
    """Marked frames and the last ones at their distances; `last`: the frame before, to be shown with its mask."""
    recalled = policy.recall(bank, time, 1, features)
    return replace(recalled, shown=((last, 1.0),) if last is not None and last.image is not None else ())


def recalled_of_set(policy: MemoryPolicy, bank: Bank, time: int, features: TorchFeatures) -> Recalled:
    """The marked picture, which is shown too, and those that the policy chooses."""
    recalled = policy.recall(bank, time, 0, features)
    return replace(recalled, shown=tuple((entry, 1.0) for entry in bank.prompted), placed=False)


def followed(net: Sam2, encoded: Encoded, recalled: Sequence[Recalled]) -> Heads:
    """N objects on the frames of N rows in `encoded`, each from what is recalled of it, with all candidates."""
    groups: dict[Hashable, list[int]] = {}
    for row, one in enumerate(recalled):
        groups.setdefault(memory_layout(one), []).append(row)
    parts = []
    for rows in groups.values():
        memory, shown = laid_out(net, [recalled[row] for row in rows])
        parts.append(net.follow(picked(encoded, rows), memory, *shown))
    return joined(parts, [row for rows in groups.values() for row in rows])


def entries(
    net: Sam2, encoded: Encoded, heads: Heads, truth: Tensor, time: int, prompted: bool, shown: Tensor | None = None
) -> list[TorchEntry]:
    """What is remembered of N objects on a frame; truth (N, S, S). shown: mask logits to show instead of the own."""
    logits, score, pointers = _forced(net, heads, truth)
    memory = net.remember(encoded, logits, score, certain=prompted)
    drawn = logits.detach() if shown is None else shown
    scores, ious = score[:, 0].tolist(), heads.iou.detach().float().tolist()
    made = []
    for index, (object_score, iou) in enumerate(zip(scores, ious, strict=True)):
        row = slice(index, index + 1)
        frame = encoded.frames(row)
        parts = memory[row], pointers[row], drawn[row], frame.embedding, frame.image
        made.append(TorchEntry(time, prompted, object_score, iou, *parts))
    return made


def _forced(net: Sam2, heads: Heads, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mask logits, object score and pointers to remember, with the truth deciding whether the object is there: early in
    training the net's own guess would throw half of them away, and nothing could be learned from what follows."""
    raw = heads.logits if heads.candidates is None else heads.candidates.logits[:, :1].float()
    shown = torch.where(heads.logits > NO_OBJECT_LOGIT, heads.logits, raw)
    present = truth.flatten(1).any(1)[:, None]
    score = torch.where(present, MASK_SCALE + MASK_BIAS, MASK_BIAS)
    pointer = heads.pointer
    if heads.candidates is not None and pointer.shape[1]:  # a refiner by itself has none
        own = hide_absent(net.obj_ptr_proj(heads.candidates.tokens[:, 0]), score, net.no_obj_ptr)
        pointer = torch.where((heads.object_score > 0) == present, pointer, own)
    return torch.where(present[..., None, None], shown, NO_OBJECT_LOGIT), score, pointer


def picked(encoded: Encoded, rows: list[int]) -> Encoded:
    """Some rows, in this order, perhaps one several times; no copy where these are all."""
    if rows == list(range(len(encoded.embedding))):
        return encoded
    index = torch.tensor(rows, device=encoded.embedding.device)
    image = None if encoded.image is None else encoded.image[index]
    return Encoded(encoded.embedding[index], tuple(m[index] for m in encoded.high_res), image)


def rows_of(heads: Heads, rows: list[int]) -> Heads:
    """Some of the objects, in this order."""
    if rows == list(range(len(heads.logits))):
        return heads
    logits, iou, pointer, score = (values[rows] for values in heads[:4])
    candidates = None if heads.candidates is None else Masks(*(values[rows] for values in heads.candidates))
    return Heads(logits, iou, pointer, score, candidates)


def joined(parts: Sequence[Heads], rows: Sequence[int]) -> Heads:
    """Heads of several calls put together; `rows` says to which place each of their objects belongs."""
    if len(parts) == 1 and list(rows) == sorted(rows):
        return parts[0]
    order = torch.tensor(rows, device=parts[0].logits.device).argsort()
    logits, iou, pointer, score = (torch.cat(own)[order] for own in zip(*(part[:4] for part in parts), strict=True))
    of_all = [part.candidates for part in parts if part.candidates is not None]
    candidates = Masks(*(torch.cat(own)[order] for own in zip(*of_all, strict=True))) if of_all else None
    return Heads(logits, iou, pointer, score, candidates)
