"""A training clip: objects of one case, seen through the window a session would cut around a person's prompt.

A clip is T frames of S x S. Pictures give clips of one, or of a made-up movement; volumes are walked along any axis,
either way, past the object's end, so that a net learns when to stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtrace.train.cases import LoadedCase
from voxtrace.train.framing import (
    box_of,
    choose_axis,
    choose_frames,
    choose_object,
    choose_others,
    choose_window,
)
from voxtrace.train.options import Options
from voxtrace.train.rendering import rendered

VISIBLE_PIXELS = 20  # an object must have so many on the frame of the clip where it is marked


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """images (T, 3, S, S) uint8, masks (T, S, S) uint8 {0, 1}; the object shows on frame 0, or, where `Options.appears`
    says so, on a later one. With `Options.objects` O above 1 masks are (O, T, S, S), empty where there are fewer.

    meta: set, case, kind of object, axis, and the frames' numbers in the case in the order shown; left_out: {id: why}
    of cases that were drawn for it and turned out to be corrupt.
    """

    images: np.ndarray
    masks: np.ndarray
    meta: dict[str, Any]


def cut_clip(
    case: LoadedCase, rng: np.random.Generator, length: int, options: Options, loose: bool = False
) -> Clip | None:
    """One random clip of random objects of `case`; None where the draw shows too little of the first one on the frame
    on which it should appear."""
    target = choose_object(case, rng, options, loose)
    axis = choose_axis(case, rng, options)
    order = choose_frames(case, target, axis, rng, length, options)
    if order is None:
        return None
    spots = {time: spot for time, frame in enumerate(order) if (spot := target.on_frame(frame, axis)) is not None}
    first = min(time for time, (_, patch) in spots.items() if patch.any())
    box = box_of(*spots[first])
    shape = tuple(s for a, s in enumerate(case.frames.shape[:3]) if a != axis)
    window = choose_window(box, shape, rng, options, loose)  # type: ignore[arg-type]
    others = choose_others(case, target, axis, order, rng, options)
    images, masks = rendered(case, [target, *others], axis, order, window, box, rng, options)
    if masks[0, first].sum() < VISIBLE_PIXELS:
        return None
    meta = {"set": case.set, "case": case.id, "object": target.kind, "axis": axis, "frames": order}
    return Clip(images, padded(masks, options), meta)


def padded(masks: np.ndarray, options: Options) -> np.ndarray:
    """Masks of the objects (n, T, S, S) that show well enough to be marked, as many as `Options.objects`, the missing
    ones empty; (T, S, S) where that is one."""
    if options.objects == 1:
        return masks[0]
    seen = masks[masks.sum((2, 3)).max(1) >= VISIBLE_PIXELS]
    return np.concatenate([seen, np.zeros((options.objects - len(seen), *masks.shape[1:]), masks.dtype)])
