"""One training clip through the net: a simulated prompt on the first frame, corrections, then following with memory.

Nothing here is special to training but the losses: the verbs are those that inference calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from voxtrace import simulate
from voxtrace.errors import InputError
from voxtrace.model.mask_decoder import resize
from voxtrace.model.sam2 import MASK_BIAS, MASK_SCALE, NO_OBJECT_LOGIT, Encoded, Heads, Memory, Sam2, Shown
from voxtrace.train.disturb import disturbed
from voxtrace.train.losses import FrameLoss, LossWeights, frame_loss
from voxtrace.train.samples import Way

LOOKED_AT = 2  # pictures of a set; each costs as much as drawing a frame anew


@dataclass(frozen=True, slots=True)
class PromptMix:
    """Chances of the first prompt's kind, and of a correction click after it; the rest are single clicks.

    hint: the chance that a followed frame is shown the mask before it, for nets that look at it.
    disturbed: the chance that a clip which begins with a mask shows a wrong one to the next frame.
    correction: the chance that the first frame's mask is corrected, by one to `rounds` clicks.
    """

    box: float = 0.6
    box_and_clicks: float = 0.1
    clicks: float = 0.1
    mask: float = 0.1
    correction: float = 0.3
    box_jitter: float = 0.1
    hint: float = 0.85
    disturbed: float = 0.0
    memories: int = 6
    rounds: int = 1

    def asked(self, way: Way) -> PromptMix:
        """The mix for a batch: mostly single clicks in windows that a click alone gave, mostly masks in a set."""
        if way == "loose":
            return replace(self, box=0.0, box_and_clicks=0.0, clicks=0.25, mask=0.0)
        return replace(self, box=0.2, box_and_clicks=0.0, clicks=0.0, mask=0.8) if way == "set" else self


def clip_losses(
    net: Sam2,
    images: Tensor,
    truth: Tensor,
    mix: PromptMix,
    weights: LossWeights,
    rng: np.random.Generator,
    way: Way = "clip",
) -> list[FrameLoss]:
    """Losses of each decoded frame of B clips.

    images: (B, T, 3, S, S) normalised; truth: (B, T, S, S) of 0 and 1, the object present on every first frame.
    way: as in Batch. In a set memories have no place in time, and other frames tell only what the object looks like.
    """
    batch, length = truth.shape[:2]
    mix = mix.asked(way)
    encoded = net.encode(images.transpose(0, 1).flatten(0, 1))
    frames = [encoded.frames(slice(t * batch, (t + 1) * batch)) for t in range(length)]
    heads, losses = _begin(net, frames[0], truth[:, 0], length > 1, mix, weights, rng)
    past: list[_Past] = []
    for time in range(1, length):
        # After its first use a frame is remembered; a clip of one frame never is.
        logits, score = _forced(heads, truth[:, time - 1])
        memory = net.remember(frames[time - 1], logits, score, certain=time == 1)
        past.append(_Past(memory, heads.pointer, logits.detach(), frames[time - 1].image))
        if time == 1 and not losses and way != "set" and rng.random() < mix.disturbed:
            past[0] = past[0]._replace(logits=disturbed(truth[:, 0], rng)[:, None].float() * MASK_SCALE + MASK_BIAS)
        recall = _recall_unordered if way == "set" else _recall_in_order
        recalled, shown = recall(net, past, mix, rng)
        heads = net.follow(frames[time], recalled, *shown)
        assert heads.candidates is not None
        taught = weights if way == "set" else weights.followed()
        losses.append(frame_loss(heads.candidates, truth[:, time], net.config.multimask_following, taught))
    return losses


class _Past(NamedTuple):
    """What was made of an earlier frame: its memory and pointer, which pass gradients on, its mask and its image."""

    memory: Tensor
    pointer: Tensor
    logits: Tensor
    image: Tensor | None


def _recall_in_order(
    net: Sam2, past: list[_Past], mix: PromptMix, rng: np.random.Generator
) -> tuple[Memory, list[Shown]]:
    """The marked frame and the last ones, at their distances; the last one's mask where it is."""
    time = len(past)
    kept = sorted({0, *range(max(0, time - mix.memories), time)})
    memories = [(past[t].memory, time - t if t else 0) for t in kept]
    recalled = net.recall(memories, [(past[t].pointer, time - t) for t in kept])
    last = past[-1]
    if last.image is None or rng.random() >= mix.hint:
        return recalled, []
    return recalled, [Shown(last.logits, last.image)]


def _recall_unordered(
    net: Sam2, past: list[_Past], mix: PromptMix, rng: np.random.Generator
) -> tuple[Memory, list[Shown]]:
    """The marked picture and others without a place in time; some of them are looked at for the object's looks."""
    kept = past[:1] + past[1:][-mix.memories :]
    memories = [(one.memory, None if index else 0) for index, one in enumerate(kept)]
    recalled = net.recall(memories, [(kept[0].pointer, 0)])
    looked_at = [one for index, one in enumerate(kept) if not index or rng.random() < 0.5][:LOOKED_AT]
    return recalled, [Shown(one.logits, one.image, placed=False) for one in looked_at if one.image is not None]


def _forced(heads: Heads, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Mask logits and object score to remember, with the truth deciding whether the object is there: early in training
    the net's own guess would throw half of the masks away, and nothing could be learned from what follows."""
    raw = heads.logits if heads.candidates is None else heads.candidates.logits[:, :1].float()
    shown = torch.where(heads.logits > NO_OBJECT_LOGIT, heads.logits, raw)
    present = truth.flatten(1).any(1)[:, None]
    score = torch.where(present, MASK_SCALE + MASK_BIAS, MASK_BIAS)
    return torch.where(present[..., None, None], shown, NO_OBJECT_LOGIT), score


def _begin(
    net: Sam2,
    frame: Encoded,
    truth: Tensor,
    followed: bool,
    mix: PromptMix,
    weights: LossWeights,
    rng: np.random.Generator,
) -> tuple[Heads, list[FrameLoss]]:
    """A given mask teaches nothing on its own frame. Where others follow, it is taken as it is; on a clip of one it is
    a wrong one that is corrected, as a person corrects what some model drew."""
    kind = rng.choice(5, p=_chances(mix))
    masks = truth.cpu().numpy() > 0
    if kind == 3 and followed:
        return net.begin_with_mask(frame, truth[:, None].float()), []
    if kind == 3 and mix.correction:
        wrong = disturbed(truth, rng)[:, None].float() * MASK_SCALE + MASK_BIAS
        return _corrected(
            net, frame, wrong, [_prompt(mask, False, 0, 0.0, rng) for mask in masks], truth, mix, weights, rng
        )
    clicks = [0, int(rng.integers(1, 3)), int(rng.integers(2, 5)), 0, 1][kind]
    prompts = [_prompt(mask, kind in (0, 1, 3), clicks, mix.box_jitter, rng) for mask in masks]
    points, labels = _stack(prompts, truth.device)
    heads = net.begin(frame, points, labels)
    assert heads.candidates is not None
    few, many = net.config.multimask
    losses = [frame_loss(heads.candidates, truth, few <= points.shape[1] <= many, weights)]
    if rng.random() >= mix.correction:
        return heads, losses
    heads, more = _corrected(net, frame, heads.logits, prompts, truth, mix, weights, rng)
    return heads, losses + more


def _corrected(
    net: Sam2,
    frame: Encoded,
    logits: Tensor,
    prompts: list[tuple[np.ndarray, np.ndarray]],
    truth: Tensor,
    mix: PromptMix,
    weights: LossWeights,
    rng: np.random.Generator,
) -> tuple[Heads, list[FrameLoss]]:
    """One to `rounds` clicks, each in the largest error that is left; the boxes are not drawn again."""
    losses = []
    for _ in range(int(rng.integers(1, mix.rounds + 1))):
        heads, prompts = _correct(net, frame, logits, prompts, truth, rng)
        assert heads.candidates is not None
        losses.append(frame_loss(heads.candidates, truth, False, weights))
        logits = heads.logits
    return heads, losses


def _correct(
    net: Sam2,
    frame: Encoded,
    logits: Tensor,
    prompts: list[tuple[np.ndarray, np.ndarray]],
    truth: Tensor,
    rng: np.random.Generator,
) -> tuple[Heads, list[tuple[np.ndarray, np.ndarray]]]:
    """A click in the largest error, with the mask so far as the hint: what a person does next. And all marks so far."""
    known = resize(logits.detach(), truth.shape[-1])
    guesses, masks = (known[:, 0] > 0).cpu().numpy(), truth.cpu().numpy() > 0
    extended = []
    for (places, kinds), mask, guess in zip(prompts, masks, guesses, strict=True):
        (y, x), positive = simulate.correction_click(mask, guess, rng)
        extended.append((np.concatenate([places, [[x, y]]]), np.append(kinds, int(positive))))
    points, labels = _stack(extended, truth.device)
    hint = resize((known > 0).float(), net.hint_size, antialias=True)
    return net.begin(frame, points, labels, hint * MASK_SCALE + MASK_BIAS), extended


def _prompt(
    mask: np.ndarray, box: bool, clicks: int, jitter: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 2) in net pixels, 0 = centre of the first pixel, and labels (P,)."""
    points, labels = np.zeros((0, 2)), np.zeros(0, np.int64)
    if box:
        y0, x0, y1, x1 = simulate.box(mask, jitter, rng)
        points, labels = np.array([[x0, y0], [x1 - 1, y1 - 1]], float), np.array([2, 3])
    if clicks:
        places = np.asarray(simulate.clicks(mask, clicks, rng, how="random" if rng.random() < 0.5 else "centre"))
        points = np.concatenate([points, places[:, ::-1]])
        labels = np.append(labels, np.ones(len(places), np.int64))
    return points, labels


def _stack(prompts: list[tuple[np.ndarray, np.ndarray]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Pad to the longest prompt with label -1."""
    longest = max(len(kinds) for _, kinds in prompts)
    points = np.zeros((len(prompts), longest, 2), np.float32)
    labels = np.full((len(prompts), longest), -1, np.int64)
    for row, (places, kinds) in enumerate(prompts):
        points[row, : len(places)], labels[row, : len(kinds)] = places, kinds
    return torch.from_numpy(points).to(device), torch.from_numpy(labels).to(device)


def _chances(mix: PromptMix) -> list[float]:
    named = [mix.box, mix.box_and_clicks, mix.clicks, mix.mask]
    if sum(named) > 1:
        raise InputError(f"the chances of the first prompt's kinds sum to {sum(named):g}; they may not exceed 1")
    return [*named, max(0.0, 1 - sum(named))]
