"""What every engine of the SAM 2 family does around its net, whatever runs it: which objects are decoded together, and
where their marks lie in the net's own picture. Without torch.

Objects whose prompts or memories have the same layout are decoded in one batch; others in batches of their own, because
padding would change the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

from voxtrace.engine import Recalled
from voxtrace.engines.resizing import resize
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as all nets of the family were trained with
Item = TypeVar("Item")
Heads = TypeVar("Heads")


def in_batches(
    items: Sequence[Item],
    layout: Callable[[Item], Hashable],
    decode: Callable[[list[Item]], Heads],
    join: Callable[[list[Heads], list[int]], Heads],
) -> Heads:
    """Decode items of equal layout together and put the objects back in their order.

    join: parts in a row, and for each item its row in them -> one of all, in the items' order.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(layout(item), []).append(index)
    parts = [decode([items[i] for i in indices]) for indices in groups.values()]
    rows = {index: row for row, index in enumerate(i for indices in groups.values() for i in indices)}
    return join(parts, [rows[index] for index in range(len(items))])


def prompt_layout(prompt: FramePrompt) -> Hashable:
    """What must be equal among objects that are begun in one batch: how many marks, and whether a mask is given."""
    return len(prompt.labels), prompt.mask is not None


def memory_layout(recalled: Recalled) -> Hashable:
    """What must be equal among objects that are followed in one batch: how much is recalled, and its times."""
    times = tuple(t for _, t in recalled.memories), tuple(t for _, t in recalled.pointers)
    return *times, recalled.pointer_span, tuple(weight for _, weight in recalled.shown), recalled.placed


def net_points(prompt: FramePrompt, shape: tuple[int, int], size: int) -> np.ndarray:
    """(P, 2) pixels of a net that sees frames of `shape` as size x size, 0 = centre of the first pixel.

    A half-open box becomes the first and last of the net's pixels that it covers, as SAM's training draws boxes
    from masks in the net's size: a box of one pixel in a small window stays as wide as it is shown. Differs from
    SAM 2 (sam2_video_predictor.py, add_new_points_or_box): pixel centres stay centres when the frame is scaled.
    """
    inward = 0.5 * ((prompt.labels == BOX_START) * 1.0 - (prompt.labels == BOX_STOP))[:, None]
    scale = np.array([size / shape[1], size / shape[0]], np.float32)
    return (prompt.points_xy * scale + inward - 0.5).astype(np.float32)


def net_masks(prompts: Sequence[FramePrompt], size: int) -> np.ndarray:
    """The prompts' masks (N, 1, size, size) float32 in 0..1, scaled in numpy for every engine: pixels that are half
    covered would be cut this way here and that way there."""
    stacked = np.stack([prompt.mask for prompt in prompts if prompt.mask is not None])[:, None]
    return resize(stacked, (size, size), antialias=True)
