"""What goes wrong in a training through no fault of the program, said with the way out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from voxtrace.errors import OutputError, TrainingError
from voxtrace.train.recipe import Recipe

CPU_MEMORY = ("can't allocate memory", "not enough memory")


@contextmanager
def explained(recipe: Recipe, image_size: int) -> Iterator[None]:
    """Turns a lack of memory into a TrainingError that says what to change, and a full disk into an OutputError."""
    try:
        yield
    except torch.OutOfMemoryError:
        total = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0
        raise TrainingError(_too_large(recipe, image_size, f"the GPU's {total / 2**30:.0f} GiB")) from None
    except MemoryError:
        raise TrainingError(_too_large(recipe, image_size, "this machine's memory")) from None
    except RuntimeError as error:
        if not any(sign in str(error) for sign in CPU_MEMORY):
            raise
        raise TrainingError(_too_large(recipe, image_size, "this machine's memory")) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutputError(
            f"the disk is full{f' ({error.filename})' if error.filename else ''}; free some room and give the same "
            "command again, the training goes on from its last state"
        ) from None


def _too_large(recipe: Recipe, image_size: int, where: str) -> str:
    """The cheapest changes first: the first two change nothing that is learned."""
    ways = [] if recipe.checkpointing else ["checkpointing = true"]
    if recipe.parts < recipe.frames // max(recipe.lengths):
        ways.append(f"parts = {recipe.parts * 2}")
    if recipe.frames > max(recipe.lengths):
        ways.append(f"frames = {max(max(recipe.lengths), recipe.frames // 2)}")
    if max(recipe.lengths) > 2:
        ways.append(f"shorter clips in [lengths] than {max(recipe.lengths)}")
    ways.append(f"image_size = {max(32, image_size // 2 // 32 * 32)}")
    return (
        f"a step of {recipe.frames} frames of {image_size} x {image_size} pixels does not fit into {where}. In the "
        f"recipe, try in this order: {', '.join(ways)}; when fine-tuning, --decoder-only or --lora "
        "needs less than --full"
    )
