"""A step's clips, drawn ahead: which ones is decided by the recipe's seed, the step and the part alone."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from voxtrace.engines import torch as engine
from voxtrace.train.cases import LoadedCase
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Batch, Sampler
from voxtrace.train.synth import SynthPool

MEAN, STD = (torch.tensor(values)[:, None, None] * 255 for values in (engine.MEAN, engine.STD))


@dataclass(slots=True)
class Share(Sampler):
    """The batches of one process: of `size` numbered ones in a row, the one at `rank`."""

    rank: int = 0
    size: int = 1

    def batch(self, number: int, frames: int) -> Batch:
        """This process's batch `number`."""
        return Sampler.batch(self, number * self.size + self.rank, frames)


def clips(
    recipe: Recipe, cases: Sequence[LoadedCase], image_size: int, start: int, rank: int = 0, size: int = 1
) -> Generator[tuple[Tensor, Tensor, Batch], None, None]:
    """Endless batches: images (B, T, 3, S, S) normalised, masks (B, T, S, S) 0 and 1, and what they were made of.

    start: number of this process's first batch. size: processes; each has its own batches, those of all processes
    together are those that one alone would draw.
    """
    lengths = [length for length, chance in recipe.lengths.items() for _ in range(round(chance * 20))]
    pool = SynthPool(seed=recipe.seed) if recipe.samples.synthetic else None
    options = replace(recipe.samples, size=image_size)
    sampler = Share(cases, pool, recipe.seed, lengths, options, rank=rank, size=size)
    for batch in sampler.batches(max(1, recipe.frames // parts_of(recipe, size)), recipe.workers, start=start):
        images = (batch.images.float() - MEAN) / STD
        yield images, batch.masks.float(), batch


def parts_of(recipe: Recipe, size: int) -> int:
    """Into how many parts a step is cut: as the recipe says, at least one a process, as many for each."""
    return -(-max(recipe.parts, size) // size) * size


def left_out(batch: Batch) -> dict[str, str]:
    """{case: why} of those that were drawn for this batch and are corrupt."""
    return {name: why for meta in batch.metas for name, why in meta.get("left_out", {}).items()}
