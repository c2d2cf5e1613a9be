"""The refiner taught by itself: a whole net in its state and its verbs, so that the same clips teach it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from voxtrace.model.config import CONFIGS
from voxtrace.model.resnet import ResNetConfig
from voxtrace.model.sam2 import Sam2, Shown
from voxtrace.train.alone import RefinerAlone
from voxtrace.train.clip import PromptMix, clip_losses
from voxtrace.train.losses import LossWeights

pytestmark = pytest.mark.torch

CONFIG = replace(CONFIGS["voxtrace-small"].at(32), trunk=ResNetConfig(depths=(1, 1, 1, 1)))
ONE_CLICK = PromptMix(box=0, box_and_clicks=0, clicks=0, mask=0, correction=0)
KINDS = {
    "box": replace(ONE_CLICK, box=1),
    "box and clicks": replace(ONE_CLICK, box_and_clicks=1),
    "clicks": replace(ONE_CLICK, clicks=1),
    "mask": replace(ONE_CLICK, mask=1),
    "one click": ONE_CLICK,
    "correction": replace(ONE_CLICK, box=1, correction=1),
    "never shown the frame before": replace(ONE_CLICK, box=1, hint=0),
    "shown a wrong mask": replace(ONE_CLICK, mask=1, disturbed=1),
}


def clips(length: int) -> tuple[Tensor, Tensor]:
    """Two clips of a bright disc on noise that moves to the right; of the second it is gone on the last frame.

    Images (2, T, 3, 32, 32) and masks (2, T, 32, 32).
    """
    y, x = np.mgrid[:32, :32]
    masks = [[(y - 15) ** 2 + (x - 12 - 2 * time) ** 2 < radius**2 for time in range(length)] for radius in (4.5, 6.5)]
    truth = torch.from_numpy(np.array(masks)).float()
    if length > 1:
        truth[1, -1] = 0
    noise = torch.randn(2, length, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return 0.3 * noise + 2 * truth[:, :, None], truth


def net(kind: type[Sam2] = RefinerAlone) -> Sam2:
    torch.manual_seed(0)
    return kind(CONFIG)


# What it has in common with the whole net


def test_its_state_is_the_whole_nets() -> None:
    alone, whole = ({name: v.shape for name, v in net(kind).state_dict().items()} for kind in (RefinerAlone, Sam2))
    assert alone == whole


@torch.no_grad()
def test_the_whole_net_draws_what_was_learned_alone_and_adds_its_decoders_word() -> None:
    """So that the second stage of a training starts where the first ended."""
    alone, whole = net().eval(), net(Sam2).eval()
    whole.load_state_dict(alone.state_dict())
    whole.decoder_scale.zero_()
    images, truth = clips(2)
    points, labels = torch.tensor([[[7.0, 10.0], [17.0, 20.0]]]), torch.tensor([[2, 3]])
    drawn = []
    for one in (alone, whole):
        first, second = one.encode(images[0, :1]), one.encode(images[0, 1:])
        begun = one.begin(first, points, labels)
        remembered = one.remember(first, begun.logits, begun.object_score, certain=True)
        assert first.image is not None
        before = Shown(truth[:1, :1] * 20 - 10, first.image)
        followed = one.follow(second, one.recall([(remembered, 0)], [(begun.pointer, 1)]), before)
        drawn.append([begun.candidates.logits[:, :1], followed.candidates.logits[:, :1]])
    for by_alone, by_whole in zip(*drawn, strict=True):
        assert torch.allclose(by_alone, by_whole, atol=1e-5)


# The same clips teach it


@pytest.mark.parametrize("mix", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("kind", [RefinerAlone, Sam2])
def test_every_kind_of_prompt_gives_losses_at_every_length(kind: type[Sam2], length: int, mix: PromptMix) -> None:
    losses = clip_losses(net(kind), *clips(length), mix, LossWeights(absent=1.0), np.random.default_rng(0))
    taught = length + (mix.correction == 1) - (mix.mask == 1 and length > 1)  # a given mask teaches nothing by itself
    assert len(losses) == taught
    assert all(torch.isfinite(loss.total) for loss in losses)
    torch.stack([loss.total for loss in losses]).sum().backward()


def test_dice_has_a_weight_of_its_own_on_followed_frames() -> None:
    dice_alone = LossWeights(focal=0, iou=0, object_score=0)
    first, *followed = totals(dice_alone)
    again, *lighter = totals(replace(dice_alone, dice_followed=0.25))
    assert again == first
    assert lighter == pytest.approx([0.25 * total for total in followed])


def totals(weights: LossWeights) -> list[float]:
    losses = clip_losses(net(), *clips(3), KINDS["box"], weights, np.random.default_rng(0))
    return [float(loss.total.detach()) for loss in losses]


def test_gradient_reaches_the_refiner_and_the_hints_scale_and_nothing_else() -> None:
    alone = net()
    losses = clip_losses(alone, *clips(3), KINDS["box"], LossWeights(absent=1.0), np.random.default_rng(0))
    torch.stack([loss.total for loss in losses]).sum().backward()
    reached = {name for name, p in alone.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    drawing = {name for name, _ in alone.named_parameters() if name.startswith("refiner.")}
    assert reached == drawing - {"refiner.remembered.weight", "refiner.remembered.bias"} | {"hint_scale"}


def test_gradient_reaches_the_memories_way_in_once_the_whole_net_is_taught() -> None:
    whole = net(Sam2)
    losses = clip_losses(whole, *clips(3), KINDS["box"], LossWeights(), np.random.default_rng(0))
    torch.stack([loss.total for loss in losses]).sum().backward()
    for parameter in (whole.refiner.remembered.weight, whole.decoder_scale, whole.hint_scale):
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


def test_twelve_steps_teach_it_to_draw_and_to_follow_a_disc() -> None:
    alone, data, rng = net(), clips(2), np.random.default_rng(0)
    weights = LossWeights(focal=0, cross_entropy=2, iou=0, object_score=0.3, absent=1)
    optimiser = torch.optim.AdamW(alone.parameters(), lr=2e-3)
    totals = []
    for _ in range(12):
        losses = clip_losses(alone, *data, KINDS["box"], weights, rng)
        total = torch.stack([loss.total for loss in losses]).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < totals[0] / 4
    assert all(float(loss.dice_score) > 0.85 for loss in losses)
