"""A training's state in one file: written beside and renamed, so that a killed run finds the last whole one."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voxtrace.errors import OutputError, TrainingError
from voxtrace.train.muon import Optimiser
from voxtrace.train.optim import Average

log = logging.getLogger(__name__)

NAME = "state.pt"


@dataclass(slots=True)
class State:
    """Everything that changes while a net is trained. seconds: of training so far, over all resumed runs.

    identity: what makes it this training and no other, as texts by name; compared when it goes on.
    cases: which ones it learns from, as a text; a change is only warned of, for a case may get lost on the way.
    left_out: {case: why} of cases that turned out to be corrupt.
    """

    net: nn.Module
    optimiser: Optimiser
    average: Average
    identity: Mapping[str, str] = field(default_factory=dict)
    cases: str = ""
    step: int = 0
    seconds: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)

    @torch.no_grad()
    def forget_statistics(self) -> None:
        """Running statistics of batch norms that a lost step made infinite become their average's again: nothing else
        would ever mend them, and the average would be lost with them."""
        for name, buffer in self.net.named_buffers():
            if name in self.average.state and not buffer.isfinite().all():
                buffer.copy_(self.average.state[name])

    def save(self, path: Path) -> None:
        """Write it whole or not at all. Raises OutputError."""
        content = {
            "model": self.net.state_dict(),
            "average": self.average.state,
            "average_count": self.average.count,
            "optimizer": self.optimiser.state_dict(),
            "step": self.step,
            "trained_s": self.seconds,
            "identity": dict(self.identity),
            "cases": self.cases,
            "left_out": self.left_out,
        }
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except (OSError, RuntimeError) as error:  # PyTorch's writer wraps a full disk into a RuntimeError
            with contextlib.suppress(OSError):
                part.unlink()
            raise OutputError(
                f"the training's state {path} cannot be written: {_reason(error)}; free some room and give the same "
                f"command again, it goes on from the last state (step {self.step} is lost, that state is not)"
            ) from None

    def resume(self, path: Path, device: torch.device) -> None:
        """Go on from what `save` wrote; nothing happens where there is no file.

        Raises TrainingError for a file that is damaged or belongs to another training, naming what differs.
        """
        if not path.exists():
            return
        found = _read(path, device)
        _check_same(found.get("identity", {}), self.identity, path)
        try:
            self.net.load_state_dict(found["model"])
            self.average.load(found["average"], found["average_count"])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise TrainingError(f"{path} is the state of another net ({reason}); {_ways(path)}") from None
        try:
            self.optimiser.load_state_dict(found["optimizer"])
        except (ValueError, KeyError):
            raise TrainingError(
                f"the optimiser in {path} groups the weights otherwise than this version of voxtrace; go on with the "
                f"version that wrote it, or begin in another folder from its weights: --start {path}"
            ) from None
        self.step, self.seconds = found["step"], found["trained_s"]
        self.left_out = dict(found.get("left_out", {}))
        before = found.get("cases", self.cases)
        if before != self.cases:
            log.warning(
                "the cases are not those that %s began with (%s, now %s): it goes on with these",
                path,
                before,
                self.cases,
            )


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        found = torch.load(path, weights_only=True, map_location=device)
    except Exception as error:  # a damaged file raises nearly anything
        raise TrainingError(f"{path} cannot be read ({type(error).__name__}: {error}); {_ways(path)}") from None
    if not isinstance(found, dict) or not {"model", "optimizer", "average", "step"} <= found.keys():
        raise TrainingError(f"{path} is not a training's state; {_ways(path)}")
    return found


def _check_same(before: Mapping[str, str], now: Mapping[str, str], path: Path) -> None:
    """What only one of both knows came into the program, or left it, in between: an older state is still good."""
    changed = [name for name in now if before.get(name, now[name]) != now[name]]
    if changed:
        told = "; ".join(f"{name} was {_short(before[name])} and is {_short(now[name])}" for name in changed)
        raise TrainingError(f"{path} is the state of another training: {told}. {_ways(path).capitalize()}")


def _ways(path: Path) -> str:
    return f"give another folder, the recipe as it was, or delete {path.name} to begin anew"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _reason(error: Exception) -> str:
    """The system's word where there is one, also under a RuntimeError."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return str(error).splitlines()[0] if str(error) else type(error).__name__
