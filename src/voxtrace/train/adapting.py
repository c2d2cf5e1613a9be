"""What of a net a fine-tuning may change: adapters, the drawing half, or everything."""

from __future__ import annotations

from typing import Literal

from torch import nn

from voxtrace.model.sam2 import Sam2
from voxtrace.train.lora import LowRank, adapt

Way = Literal["lora", "decoder", "full"]
# What draws masks. A hinted net's refiner draws nearly all of its mask, so it belongs to the decoder there.
DRAWING = ("sam_mask_decoder", "refiner", "hint_scale", "decoder_scale")


def prepare(net: Sam2, way: Way, low_rank: LowRank | None = None) -> int:
    """Freeze in place what is not to be taught; returns how many values are.

    Batch norms keep the statistics that they came with: a few cases in a batch would make worse ones, and what a net
    was taught with is what it should be used with. The random position matrix is no parameter anywhere.
    """
    if way == "lora":
        adapt(net, low_rank or LowRank())
    else:
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(way == "full" or name.startswith(DRAWING))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            settle(module)
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def settle(norm: nn.BatchNorm2d) -> None:
    """Keep a norm's statistics whatever mode the net is put into; its scale and shift may still be taught."""
    norm.__class__ = Settled if type(norm) is nn.BatchNorm2d else norm.__class__
    norm.eval()


class Settled(nn.BatchNorm2d):
    """A batch norm that `train()` does not wake up."""

    def train(self, mode: bool = True) -> Settled:
        """Stay as it is."""
        return super().train(False)
