"""Training clips through the net: objects are begun where they first appear, corrected, and followed with memory.

Nothing here is special to training but the losses: the verbs and the memory policies are those of inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from voxtrace.engine import Recalled
from voxtrace.engines.torch import TorchEntry, TorchFeatures
from voxtrace.memory import Bank, MemoryPolicy
from voxtrace.model.sam2 import Encoded, Heads, Sam2
from voxtrace.train.disturb import disturbed
from voxtrace.train.losses import FrameLoss, LossWeights, frame_loss
from voxtrace.train.marked_frames import as_logits, begun, corrected
from voxtrace.train.marking import NOTHING, PromptMix, first_shown, frames_to_mark
from voxtrace.train.recalling import entries, followed, picked, policy_of, recalled_in_order, recalled_of_set, rows_of
from voxtrace.train.samples import Way


def clip_losses(
    net: Sam2,
    images: Tensor,
    truth: Tensor,
    mix: PromptMix,
    weights: LossWeights,
    rng: np.random.Generator,
    way: Way = "clip",
) -> list[FrameLoss]:
    """Losses of each decoded frame of B clips; each a mean over the objects decoded there, with their share of all.

    images: (B, T, 3, S, S) normalised; truth: (B, T, S, S) of 0 and 1, or (B, O, T, S, S) for up to O objects a clip.
    A frame is encoded once for all of them. An object is marked on the frame where it first shows 20 pixels (else most)
    and followed from there; an empty mask stands for no object.
    way: as in Batch. In a set memories have no place in time, and other frames tell only what the object looks like.
    """
    batch, length = images.shape[:2]
    encoded = net.encode(images.transpose(0, 1).flatten(0, 1))
    frames = [encoded.frames(slice(t * batch, (t + 1) * batch)) for t in range(length)]
    truth = truth[:, None] if truth.ndim == 4 else truth
    present = truth.flatten(2).any(2)
    clip_of = present.nonzero()[:, 0].tolist()
    mix = mix.asked(way)
    run = _Run(net, frames, truth[present], clip_of, way, mix, weights, rng, policy_of(mix, way, rng))
    return list(run()) if clip_of else []


@dataclass(slots=True)
class _Run:
    """N objects of B clips on their way. frames: T of B rows; truth: (N, T, S, S); clip_of: the objects' clips.

    first: the frame where each object begins. marked: {(object, frame): what is remembered of it}, also of those that
    are begun before they are come to. latest: of each object, the frame dealt with last.
    """

    net: Sam2
    frames: list[Encoded]
    truth: Tensor
    clip_of: list[int]
    way: Way
    mix: PromptMix
    weights: LossWeights
    rng: np.random.Generator
    policy: MemoryPolicy
    first: list[int] = field(init=False)
    banks: list[Bank] = field(init=False)
    latest: list[TorchEntry | None] = field(init=False)
    marked: dict[tuple[int, int], TorchEntry | None] = field(default_factory=dict)

    def __call__(self) -> Iterator[FrameLoss]:
        areas = self.truth.sum((2, 3)).cpu().numpy()
        self.first = first_shown(areas)
        self.banks, self.latest = [Bank()] * len(areas), [None] * len(areas)
        for time, objects in frames_to_mark(areas, self.mix, self.rng):
            yield from self._begin(objects, time)
        mended = -1
        if len(self.frames) > 1 and self.mix.correction_followed > self.rng.random():
            mended = int(self.rng.integers(1, len(self.frames)))
        for time in range(len(self.frames)):
            for object, frame in self.marked:
                if frame == time:
                    self.latest[object] = self.marked[object, frame]
            objects = [o for o, first in enumerate(self.first) if first < time and (o, time) not in self.marked]
            if objects:
                yield from self._follow(objects, time, time == mended)

    def _begin(self, objects: list[int], time: int) -> Iterator[FrameLoss]:
        encoded, truth = self._encoded(objects, time), self.truth[objects, time]
        last = len(self.frames) - 1
        remembered = any(self.first[o] < last for o in objects)
        kind = self.mix.kind(self.rng)
        heads, losses = begun(self.net, encoded, truth, kind, remembered, self.mix, self.weights, self.rng)
        yield from self._shared(losses, objects)
        self.marked |= {(o, time): None for o in objects}
        if remembered:
            wrong = not losses and self.way != "set" and self.rng.random() < self.mix.disturbed
            shown = as_logits(disturbed(truth, self.rng)) if wrong else None
            made = entries(self.net, encoded, heads, truth, time, True, shown)
            for object, entry in zip(objects, made, strict=True):
                self._keep(object, entry)
                self.marked[object, time] = entry

    def _follow(self, objects: list[int], time: int, mend: bool) -> Iterator[FrameLoss]:
        encoded, truth = self._encoded(objects, time), self.truth[objects, time]
        heads = followed(self.net, encoded, self._recalled(objects, time))
        assert heads.candidates is not None
        taught = self.weights if self.way == "set" else self.weights.followed()
        losses = [frame_loss(heads.candidates, truth, self.net.config.multimask_following, taught)]
        yield from self._shared(losses, objects)
        seen = truth.flatten(1).any(1).tolist()
        clicked = [row for row, there in enumerate(seen) if mend and there]
        rest = [row for row in range(len(objects)) if row not in clicked]
        if clicked:
            own, frames, true = [objects[row] for row in clicked], picked(encoded, clicked), truth[clicked]
            prompts, logits = [NOTHING] * len(own), heads.logits[clicked]
            mended, losses = corrected(self.net, frames, logits, prompts, true, self.mix, self.weights, self.rng)
            yield from self._shared(losses, own)
            self._remember(own, frames, mended, true, time, prompted=True)
        if rest:
            own = [objects[row] for row in rest]
            self._remember(own, picked(encoded, rest), rows_of(heads, rest), truth[rest], time, prompted=False)

    def _remember(
        self, objects: list[int], encoded: Encoded, heads: Heads, truth: Tensor, time: int, prompted: bool
    ) -> None:
        """Of a followed frame, unless none comes after it."""
        if time == len(self.frames) - 1:
            return
        for object, entry in zip(objects, entries(self.net, encoded, heads, truth, time, prompted), strict=True):
            self._keep(object, entry)
            self.latest[object] = entry

    def _recalled(self, objects: list[int], time: int) -> list[Recalled]:
        shown = self.rng.random() < self.mix.hint
        recalled = []
        for object in objects:
            clip = self.clip_of[object]
            bank = self.banks[object]
            features = TorchFeatures((0, 0), self.frames[time].frame(clip))
            if self.way == "set":
                recalled.append(recalled_of_set(self.policy, bank, time, features))
            else:
                last = self.latest[object] if shown else None
                recalled.append(recalled_in_order(self.policy, bank, time, features, last))
        return recalled

    def _keep(self, object: int, entry: TorchEntry) -> None:
        bank = self.banks[object]
        kept = replace(bank, prompted=(*bank.prompted, entry)) if entry.prompted else self.policy.admit(bank, entry)
        self.banks[object] = kept

    def _encoded(self, objects: list[int], time: int) -> Encoded:
        return picked(self.frames[time], [self.clip_of[object] for object in objects])

    def _shared(self, losses: list[FrameLoss], objects: list[int]) -> list[FrameLoss]:
        """Losses of some objects, which count for less than those of all."""
        return [replace(loss, share=len(objects) / len(self.clip_of)) for loss in losses]


__all__ = ["PromptMix", "clip_losses"]
