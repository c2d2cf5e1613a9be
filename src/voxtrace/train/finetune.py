"""Fine-tune a net of the SAM 2 family on a person's own cases: load, choose what may change, train, make it whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from voxtrace.checkpoints import Located, load
from voxtrace.errors import ModelError, TrainingError
from voxtrace.model.sam2 import Sam2
from voxtrace.train.adapting import Way, prepare
from voxtrace.train.cases import LoadedCase
from voxtrace.train.loop import train
from voxtrace.train.lora import LowRank, merge
from voxtrace.train.recipe import Recipe
from voxtrace.train.telling import Tell

ALLOCATION = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu")  # as torch words it


@dataclass(frozen=True, slots=True)
class Tuned:
    """A net with plain weights, in eval mode on the CPU. steps, seconds: of all runs in its folder. taught: values."""

    net: Sam2
    steps: int
    seconds: float
    taught: int


def starting_net(located: Located) -> Sam2:
    """The net to be fine-tuned. Raises ModelError for one that cannot be, CheckpointError for an unfit file."""
    net = load(located)
    if not isinstance(net, Sam2):
        raise ModelError(
            f"{located.name} is a SAM 1 net (single images, no memory), which is not fine-tuned here: training is by "
            "clips with memory. Take a net of the SAM 2 family, as voxtrace-small or medsam2"
        )
    return net


def finetune(
    net: Sam2,
    way: Way,
    recipe: Recipe,
    cases: Sequence[LoadedCase],
    out: Path,
    *,
    low_rank: LowRank | None = None,
    tell: Tell | None = None,
) -> Tuned:
    """Train `net` in place by `recipe` and return it with the running average of its weights, adapters merged.

    out: the training's folder; a run that was stopped goes on in it. Raises TrainingError; where memory does
    not suffice, with what to change.
    """
    torch.manual_seed(recipe.seed)  # of the adapters' first values
    taught = prepare(net, way, low_rank)
    try:
        file = train(recipe, cases, out, net=net, tell=tell)
    except (TrainingError, MemoryError, RuntimeError) as error:
        if not (of_memory(error) or of_memory(error.__context__)):
            raise
        raise TrainingError(out_of_memory(net, way, recipe)) from None
    state = torch.load(file, weights_only=True, map_location="cpu")
    net = net.cpu()
    net.load_state_dict(state["average"])
    merge(net)
    return Tuned(net.eval(), int(state["step"]), float(state["trained_s"]), taught)


def of_memory(error: BaseException | None) -> bool:
    """Whether there was too little memory: the GPU's (torch.OutOfMemoryError), Python's, or the CPU allocator's, which
    torch reports as a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in ALLOCATION)


def out_of_memory(net: Sam2, way: Way, recipe: Recipe) -> str:
    """What to change, the mildest first."""
    size, frames = net.config.image_size, recipe.frames
    ways = [f"--frames {frames // 2}"] if frames > 1 else []
    ways += ["--lora"] if way == "full" else []
    ways += ["--decoder-only"] if way != "decoder" else []
    ways += [f"--image-size {size // 2}"] if size >= 512 else []
    ways += ["a smaller net, as voxtrace-small"] if not net.config.hinted else []
    place = "the GPU has" if torch.cuda.is_available() else "this machine has"
    more = ", or train on the CPU (set CUDA_VISIBLE_DEVICES to nothing)" if torch.cuda.is_available() else ""
    return (
        f"{place} not enough memory to fine-tune {net.config.name} at {size} px with {frames} frames a step; "
        f"try {', then '.join(ways) or 'a machine with more'}{more}"
    )
