"""A small net of every family, with random weights that are the same in every run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from voxtrace.checkpoints.nets import NetConfig, build
from voxtrace.model.config import CONFIGS, Perceived
from voxtrace.model.hiera import HieraConfig
from voxtrace.model.repvit import RepVitConfig
from voxtrace.model.resnet import ResNetConfig
from voxtrace.model.sam1 import Sam1Config
from voxtrace.model.tinyvit import TinyVitConfig
from voxtrace.model.vit_sam1 import Sam1VitConfig
from voxtrace.model.vitdet import VitDetConfig

HIERA = HieraConfig(16, 1, (1, 1, 2, 1), (2,))
SMALL: dict[str, Callable[[], NetConfig]] = {
    "sam2.1": lambda: replace(CONFIGS["sam2.1_hiera_tiny"].at(64), trunk=HIERA, **NARROW),
    "sam2": lambda: replace(CONFIGS["sam2_hiera_tiny"].at(64), trunk=HIERA, **NARROW),
    "efficienttam": lambda: replace(
        CONFIGS["efficienttam_ti"].at(96), trunk=VitDetConfig(24, 2, 2, (1,), window=4), **NARROW
    ),
    "edgetam": lambda: replace(
        CONFIGS["edgetam"].at(64),
        trunk=RepVitConfig(widths=(8, 8, 16, 16), depths=(1, 1, 2, 1)),
        keeping=Perceived(free=6, placed=4),
        **NARROW,
    ),
    "hinted": lambda: replace(CONFIGS["voxtrace-small"].at(64), trunk=ResNetConfig(depths=(1, 1, 1, 1)), **NARROW),
    "medsam": lambda: Sam1Config("medsam", Sam1VitConfig(64, 24, 2, 2, (1,), window=3), dim=32, mlp_dim=48),
    "litemedsam": lambda: Sam1Config(
        "litemedsam",
        TinyVitConfig(32, (8, 16, 20, 24), (1, 1, 1, 1), (2, 4, 5, 6), (3, 3, 5, 3)),
        keep_aspect=True,
        dim=32,
        mlp_dim=48,
    ),
}
NARROW: dict = {"dim": 64, "memory_dim": 32, "memory_layers": 1, "mlp_dim": 48, "iou_hidden": 32}


def small_net(family: str) -> nn.Module:
    """The family's net; what begins as zero or one is random too, or a slip in it would not show."""
    torch.manual_seed(0)
    net = build(SMALL[family]()).eval().requires_grad_(False)
    for name, tensor in net.state_dict().items():
        if tensor.is_floating_point() and tensor.numel() > 1 and float(tensor.std()) == 0:
            low = 0.5 if name.endswith("running_var") else -0.3
            tensor += torch.empty_like(tensor).uniform_(low, 0.6)
    return net
