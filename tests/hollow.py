"""Weights files with a net's true names and shapes but no values: a 160 MB layout in a few hundred kilobytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxtrace.checkpoints.nets import blank, net_config


def hollow_state(config: str) -> dict[str, Tensor]:
    """The state dict of the net called `config`; every tensor is one stored zero, spread over its shape."""
    with torch.device("meta"):
        net = blank(net_config(config))
    return {name: torch.zeros((), dtype=t.dtype).expand(t.shape) for name, t in net.state_dict().items()}


def written(path: Path, content: Any) -> Path:
    """`content` as PyTorch writes it."""
    torch.save(content, path)
    return path


def sam21_tiny(folder: Path, name: str = "mine.pt") -> Path:
    """A file with the tensors of SAM 2.1 tiny, which are MedSAM2's too."""
    return written(folder / name, {"model": hollow_state("sam2.1_hiera_tiny")})
