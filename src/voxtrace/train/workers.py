"""Batches made ahead, in order, in processes of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch


def ahead(make: Callable[[int], Any], numbers: range, workers: int) -> Iterator[tuple[Any, ...]]:
    """(images, masks, metas, way) of the batches that `make` makes of the numbers; images and masks as tensors, or as
    arrays where /dev/shm is small."""
    loader = torch.utils.data.DataLoader(
        _Numbered(make, _shared_memory_is_large()),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=4,
        collate_fn=_same,
        worker_init_fn=_one_thread,
        multiprocessing_context="fork",
    )
    yield from loader


@dataclass(slots=True)
class _Numbered(torch.utils.data.Dataset):
    """Batch by number, for the loader's worker processes."""

    make: Callable[[int], Any]
    as_tensors: bool

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        batch = self.make(number)
        if self.as_tensors:
            return batch.images, batch.masks, batch.metas, batch.way
        return batch.images.numpy(), batch.masks.numpy(), batch.metas, batch.way


def _shared_memory_is_large() -> bool:
    """Tensors travel through /dev/shm without a copy; in a container with a tiny one they go through the pipe."""
    try:
        return shutil.disk_usage("/dev/shm").free > 2**31
    except OSError:
        return False


def _same(item: Any) -> Any:
    return item


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
