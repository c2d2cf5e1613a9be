"""Marked frames of training clips: begun from their marks, then corrected, with their losses."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from voxtrace.model.mask_decoder import resize
from voxtrace.model.sam2 import MASK_BIAS, MASK_SCALE, Encoded, Heads, Sam2
from voxtrace.prompts import FramePrompt
from voxtrace.train.disturb import disturbed
from voxtrace.train.losses import FrameLoss, LossWeights, frame_loss
from voxtrace.train.marking import NOTHING, Kind, PromptMix, first_marks, more_marks, stacked
from voxtrace.train.recalling import joined, picked


def begun(
    net: Sam2,
    frame: Encoded,
    truth: Tensor,
    kind: Kind,
    followed: bool,
    mix: PromptMix,
    weights: LossWeights,
    rng: np.random.Generator,
) -> tuple[Heads, list[FrameLoss]]:
    """N objects on a frame that shows them all, truth (N, S, S), asked by one kind of marks and perhaps corrected.

    A given mask teaches nothing on its own frame. Where others follow, it is taken as it is; on a clip of one it is
    a wrong one that is corrected, as a person corrects what some model drew.
    """
    if kind == "mask" and followed:
        return net.begin_with_mask(frame, truth[:, None].float()), []
    if kind == "mask" and mix.correction:
        nothing = [NOTHING] * len(truth)
        return corrected(net, frame, as_logits(disturbed(truth, rng)), nothing, truth, mix, weights, rng)
    prompts = first_marks(truth.cpu().numpy() > 0, kind, mix, rng)
    heads, losses = _decoded(net, frame, prompts, None, truth, weights)
    if rng.random() >= mix.correction:
        return heads, losses
    heads, more = corrected(net, frame, heads.logits, prompts, truth, mix, weights, rng)
    return heads, losses + more


def corrected(
    net: Sam2,
    frame: Encoded,
    logits: Tensor,
    prompts: list[FramePrompt],
    truth: Tensor,
    mix: PromptMix,
    weights: LossWeights,
    rng: np.random.Generator,
) -> tuple[Heads, list[FrameLoss]]:
    """One to `rounds` clicks, each in the error that is left, with the mask so far as the hint where it has a pixel:
    what a person does next. `prompts`: the marks that were there before; boxes are not drawn again."""
    losses: list[FrameLoss] = []
    masks = truth.cpu().numpy() > 0
    for _ in range(int(rng.integers(1, mix.rounds + 1))):
        known = resize(logits.detach(), truth.shape[-1]) > 0
        prompts = more_marks(prompts, masks, known[:, 0].cpu().numpy(), mix, rng)
        hint = as_logits(resize(known.float(), net.hint_size, antialias=True)[:, 0])
        heads, more = _decoded(net, frame, prompts, hint, truth, weights)
        losses, logits = losses + more, heads.logits
    return heads, losses


def as_logits(masks: Tensor) -> Tensor:
    """(N, S, S) of 0..1 -> (N, 1, S, S), certain."""
    return masks[:, None].float() * MASK_SCALE + MASK_BIAS


def _decoded(
    net: Sam2, frame: Encoded, prompts: list[FramePrompt], hint: Tensor | None, truth: Tensor, weights: LossWeights
) -> tuple[Heads, list[FrameLoss]]:
    points, labels = stacked(prompts, truth.shape[-1], truth.device)
    heads = net.begin(frame, points, labels) if hint is None else _hinted(net, frame, points, labels, hint)
    assert heads.candidates is not None
    few, many = net.config.multimask
    return heads, [frame_loss(heads.candidates, truth, few <= points.shape[1] <= many, weights)]


def _hinted(net: Sam2, frame: Encoded, points: Tensor, labels: Tensor, hint: Tensor) -> Heads:
    """N objects begun with the masks (N, 1, s, s) so far; those that are empty are not shown, as in a session."""
    drawn = (hint > MASK_BIAS).flatten(1).any(1).tolist()
    groups = [[row for row, there in enumerate(drawn) if there == shown] for shown in (True, False)]
    parts = [
        net.begin(picked(frame, rows), points[rows], labels[rows], hint[rows] if drawn[rows[0]] else None)
        for rows in groups
        if rows
    ]
    return joined(parts, groups[0] + groups[1])
