"""Many processes, started by torchrun, that train one net: each takes its share of a step's parts.

Gradients are summed explicitly after the backward pass. A wrapper around the net would hide its verbs, and what a step
runs differs between processes (one corrects, the other follows), which a wrapper would have to search for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, distributed as dist, nn

from voxtrace.errors import TrainingError


def default_device() -> torch.device:
    """The first GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True, slots=True)
class World:
    """This process's place among `size` of them; alone unless `joined` says otherwise."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=default_device)

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def agreed(self, value: float) -> float:
        """The leader's value: clocks differ, and all must stop at the same step."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    def summed(self, values: Sequence[float]) -> list[float]:
        """Sums over the processes."""
        if self.size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(shared)
        return shared.tolist()

    def check_same(self, step: int, path: Path) -> None:
        """Raises TrainingError where some processes go on from another step than others: they would wait forever."""
        steps = self.summed([float(step if rank == self.rank else 0) for rank in range(self.size)])
        if len(set(steps)) > 1:
            told = ", ".join(f"{found:g}" for found in steps)
            raise TrainingError(
                f"the processes would go on from different steps ({told}): {path} is not the same file for all of "
                "them; let --out be a folder that all machines share, or copy the leader's there"
            )

    def gathered(self, value: dict[str, str]) -> dict[str, str]:
        """The union of what each process says."""
        if self.size == 1:
            return value
        found: list[dict[str, str]] = [{} for _ in range(self.size)]
        dist.all_gather_object(found, value)
        return {name: text for one in found for name, text in one.items()}

    @torch.no_grad()
    def sum_gradients(self, weights: Sequence[nn.Parameter]) -> None:
        """Add the gradients up. Where no process has one there is none, as in a single process: AdamW then leaves the
        weight alone."""
        if self.size == 1:
            return
        has = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.float32, device=self.device)
        flat = torch.cat([(w.grad if w.grad is not None else torch.zeros_like(w)).flatten().float() for w in weights])
        joint = torch.cat([has, flat])
        dist.all_reduce(joint)
        counts, flat = joint[: len(weights)].tolist(), joint[len(weights) :]
        for weight, count, piece in zip(weights, counts, flat.split([w.numel() for w in weights]), strict=True):
            # In the weight's own memory order: the fused optimiser reads both as they lie.
            weight.grad = torch.empty_like(weight).copy_(piece.view(weight.shape)) if count else None

    @torch.no_grad()
    def share(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the leader's values, in place."""
        if self.size > 1:
            for tensor in tensors:
                whole = tensor.contiguous()
                dist.broadcast(whole, 0)
                tensor.copy_(whole)


@contextmanager
def joined() -> Iterator[World]:
    """This process among those that torchrun started with it: gloo on CPUs, NCCL on GPUs. Alone without torchrun."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    device = default_device()
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size(), device)
    finally:
        if ours:
            dist.destroy_process_group()
