"""A training's state in one file: written beside and renamed, so that a killed run finds the last whole one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voxtrace.train.optim import Average

NAME = "state.pt"


@dataclass(slots=True)
class State:
    """Everything that changes while a net is trained. seconds: of training so far, over all resumed runs."""

    net: nn.Module
    optimiser: torch.optim.Optimizer
    average: Average
    step: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        content = {
            "model": self.net.state_dict(),
            "average": self.average.state,
            "average_count": self.average.count,
            "optimizer": self.optimiser.state_dict(),
            "step": self.step,
            "trained_s": self.seconds,
        }
        part = path.with_suffix(".part")
        torch.save(content, part)
        part.replace(path)

    def resume(self, path: Path, device: torch.device) -> None:
        """Go on from what `save` wrote; nothing happens where there is no file."""
        if not path.exists():
            return
        found: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
        self.net.load_state_dict(found["model"])
        self.optimiser.load_state_dict(found["optimizer"])
        self.average.load(found["average"], found["average_count"])
        self.step, self.seconds = found["step"], found["trained_s"]
