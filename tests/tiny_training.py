"""A net and a case small enough to be trained in a test: a ball in noise, a net without batch statistics."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from voxtrace.model.config import Fpn, Sam2Config
from voxtrace.model.hiera import HieraConfig
from voxtrace.model.sam2 import Sam2
from voxtrace.train import loop, running
from voxtrace.train.augment import Strength
from voxtrace.train.cases import LoadedCase, find_objects
from voxtrace.train.clip import PromptMix
from voxtrace.train.losses import LossWeights
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Options

SIZE = 64
STILL = Strength(**{name: 0.0 for name in ("turn", "bend", "invert", "tone", "noise", "blur", "colour")})
CONFIG = Sam2Config(
    "tiny",
    HieraConfig(16, 1, (1, 1, 1, 1), (2,)),
    image_size=SIZE,
    neck=Fpn(),
    dim=32,
    memory_dim=16,
    memory_layers=1,
    mlp_dim=32,
    iou_hidden=32,
    multimask=(1, 1),
    multimask_following=False,
)
RECIPE = Recipe(
    "tiny",
    "voxtrace-small",
    image_size=SIZE,
    steps=4,
    minutes=10.0,
    frames=4,
    lengths={2: 1.0},
    parts=2,
    workers=0,
    pictures=0.0,
    rate=1e-3,
    warm_up=0.0,
    samples=Options(size=SIZE, images=0.0, volumes=1.0, synthetic=0.0, whole_frame=0.0, strength=STILL),
    prompts=PromptMix(box=1.0, box_and_clicks=0.0, clicks=0.0, mask=0.0, correction=0.3),
    losses=LossWeights(),
)


def ball() -> LoadedCase:
    """A volume (24, 60, 72) with one bright ball."""
    z, y, x = np.ogrid[:24, :60, :72]
    labels = ((z - 12) ** 2 + (y - 28) ** 2 + (x - 40) ** 2 < 9**2).astype(np.int32)
    noise = np.random.default_rng(5).normal(0, 8, labels.shape)
    frames = (70 + 110 * labels + noise).clip(0, 255).astype(np.uint8)
    return LoadedCase("balls/0", "balls", "volume", "ct", frames, find_objects(labels), tuple(range(24)))


def net(seed: int = 0) -> Sam2:
    """The tiny net; the same for the same seed."""
    torch.manual_seed(seed)
    return Sam2(CONFIG)


def main() -> None:
    """python tests/tiny_training.py OUT STEPS: train in a process of its own; the state is kept every half second."""
    torch.set_num_threads(1)
    running.SAVE_EVERY_S = 0.5
    loop.train(replace(RECIPE, steps=int(sys.argv[2]), workers=1), [ball()], Path(sys.argv[1]), net=net())


if __name__ == "__main__":
    main()
