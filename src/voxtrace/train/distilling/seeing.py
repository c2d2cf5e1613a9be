"""One square window, shown to any net as its engine would show it, and the maps that the net makes of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtrace.checkpoints.nets import NetConfig
from voxtrace.engines.batching import MEAN, STD
from voxtrace.engines.torch_sam1 import PadLongest, Squash
from voxtrace.model.mask_decoder import Masks, resize
from voxtrace.model.sam1 import Sam1, Sam1Config
from voxtrace.model.sam2 import Sam2
from voxtrace.prompts import BOX_START, BOX_STOP
from voxtrace.train.distilling.nets import config_of


def shown(config: NetConfig, windows: Tensor) -> Tensor:
    """Square windows (B, 3, S, S), 0..255 -> images (B, 3, s, s) in the net's own size and scale."""
    windows = windows.float()
    if isinstance(config, Sam1Config):
        fit = PadLongest(config.image_size) if config.keep_aspect else Squash(config.image_size)
        return fit.images(windows)
    if windows.shape[-1] != config.image_size:
        windows = resize(windows, config.image_size, antialias=True)
    mean, std = (torch.tensor(v, device=windows.device)[:, None, None] * 255 for v in (MEAN, STD))
    return (windows - mean) / std


def maps(net: nn.Module, windows: Tensor) -> tuple[Tensor, ...]:
    """The embedding (B, C, h, w), then the maps at strides 4 and 8 that the decoder reads, where it does."""
    images = shown(config_of(net), windows)
    if isinstance(net, Sam1):
        return (net.encode(images),)
    assert isinstance(net, Sam2)
    encoded = net.encode(images)
    return encoded.embedding, *encoded.high_res


def asked(net: nn.Module, windows: Tensor, boxes: Tensor) -> Masks:
    """All four masks of one object on each of B windows.

    boxes: (B, 4) float y0, x0, y1, x1, half-open, as shares of the window's side.
    """
    config = config_of(net)
    y0, x0, y1, x1 = (boxes * config.image_size).unbind(1)
    # The first and last of the net's pixels that the box covers; 0 is the centre of the first.
    corners = torch.stack([torch.stack([x0, y0], 1), torch.stack([x1, y1], 1).sub(1)], 1)
    corners[:, 1] = torch.maximum(corners[:, 1], corners[:, 0])
    labels = torch.tensor([BOX_START, BOX_STOP], device=boxes.device).expand(len(boxes), 2)
    images = shown(config, windows)
    if isinstance(net, Sam1):
        return net.decode(net.encode(images), corners, labels)
    assert isinstance(net, Sam2)
    candidates = net.begin(net.encode(images), corners, labels).candidates
    assert candidates is not None
    return candidates
