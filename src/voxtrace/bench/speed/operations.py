"""What the nets compute, counted by torch on tensors without values; from it the floor: operations over the rate that
the processor attains in large products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from voxtrace.bench.speed.work import Work

MEMORIES, POINTERS, SHOWN = 7, 16, 3  # most that are recalled: SAM 2's bank, and what a hinted net is shown


@dataclass(frozen=True, slots=True)
class Operations:
    """Billions of additions and multiplications of each verb, for one frame and one object, the bank full."""

    encode: float
    begin: float
    follow: float
    remember: float

    def of_volume(self, work: Work) -> float:
        """Of a whole volume in both directions: each slice encoded once. The bank counts as full from the start, which
        it is after six of the slices."""
        followed = (work.slices - 1) * (self.follow + self.remember)
        return work.slices * self.encode + work.objects * (self.begin + self.remember + followed)


@lru_cache
def operations(config_name: str, side: int) -> Operations:
    """Of one of `CONFIGS` for images of `side` pixels."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from voxtrace.model.config import CONFIGS
    from voxtrace.model.sam2 import Sam2, Shown

    counts = {}
    # Written-out attention: the counter does not know torch's CPU kernel for it.
    with torch.device("meta"), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        net = Sam2(CONFIGS[config_name].at(side)).eval().requires_grad_(False)
        places, image = side // 16, torch.empty(1, 3, side, side)

        def count(verb: str) -> FlopCounterMode:
            counts[verb] = FlopCounterMode(display=False)
            return counts[verb]

        with count("encode"):
            encoded = net.encode(image)
        with count("begin"):
            net.begin(encoded, torch.empty(1, 2, 2), torch.empty(1, 2, dtype=torch.int32))
        memory = torch.empty(1, net.config.memory_dim, places, places)
        pointer = torch.empty(1, net.config.dim)
        shown = [Shown(torch.empty(1, 1, side, side), image)] * SHOWN if net.config.hinted else []
        with count("follow"):
            recalled = net.recall([(memory, time) for time in range(MEMORIES)], [(pointer, 1)] * POINTERS)
            heads = net.follow(encoded, recalled, *shown)
        with count("remember"):
            net.remember(encoded, heads.logits, heads.object_score, certain=False)
    return Operations(**{verb: counter.get_total_flops() / 1e9 for verb, counter in counts.items()})
