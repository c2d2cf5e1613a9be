"""SAM 2.1 tiny with random weights that say something: every part leaves its mark on masks that are neither empty nor
full, so that an error of ours would show in their IoU. Released weights may be measured in their place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

SEED = 2  # with it masks fill a quarter to a half of the frame, and differ from slice to slice
PRESENT = 40.0  # bias of the object score: the object is there on every frame, on all sides


def random_tiny(path: Path, side: int, seed: int = SEED) -> None:
    """Write a safetensors file with the official names."""
    import torch
    from safetensors.torch import save_file

    from voxtrace.model.config import CONFIGS
    from voxtrace.model.sam2 import Sam2

    net: Any = Sam2(CONFIGS["sam2.1_hiera_tiny"].at(side)).requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, module in net.named_modules():
        _fill(name, module, generator)
    net.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(PRESENT)
    for (
        drawing
    ) in net.sam_mask_decoder.output_hypernetworks_mlps:  # its outputs weigh channels that are mostly positive
        last = drawing.layers[-1]
        last.weight -= last.weight.mean(0)
        last.bias -= last.bias.mean()
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(state, path)


def _fill(name: str, module: nn.Module, generator: torch.Generator) -> None:
    """Weights of about unit gain, norms near 1, biases small; queries and keys sharper, so that attention chooses."""
    import torch
    from torch import nn

    projects = isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    for kind, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        noise = torch.randn(value.shape, generator=generator)
        if kind == "bias":
            value.copy_(0.2 * noise)
        elif projects:
            sharp = 2.0 if name.endswith(("q_proj", "k_proj")) else 1.0
            value.copy_(sharp * noise / value[0].numel() ** 0.5)
        elif kind == "weight" and value.ndim == 1:
            value.copy_(1 + 0.2 * noise)
        else:
            value.copy_(0.5 * noise)
