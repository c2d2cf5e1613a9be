"""Objects and their marks as the JSON of a prompts file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxtrace.errors import PromptError
from voxtrace.prompt_text.files import ObjectPrompts
from voxtrace.prompts import Box, MaskPrompt, Point, Prompt, Recist, Scribble


def prompts_to_json(objects: Sequence[ObjectPrompts]) -> dict[str, Any]:
    """The JSON that `prompts_from_json` reads back to equal prompts; masks as runs of the flattened array."""
    return {
        "objects": [
            ({} if one.name is None else {"name": one.name}) | {"prompts": [_to_json(mark) for mark in one.prompts]}
            for one in objects
        ]
    }


def _to_json(prompt: Prompt) -> dict[str, Any]:
    match prompt:
        case Point(z, y, x, positive):
            return {"kind": "point", "z": z, "y": y, "x": x, "positive": positive}
        case Box(z0, y0, x0, z1, y1, x1) if z1 == z0 + 1 and z0 == int(z0):
            return {"kind": "box", "z": int(z0), "y0": y0, "x0": x0, "y1": y1, "x1": x1}
        case Box(z0, y0, x0, z1, y1, x1):
            return {"kind": "box3d", "z0": z0, "y0": y0, "x0": x0, "z1": z1, "y1": y1, "x1": x1}
        case Recist(z, y0, x0, y1, x1):
            return {"kind": "recist", "z": z, "y0": y0, "x0": x0, "y1": y1, "x1": x1}
        case Scribble():
            voxels = np.asarray(prompt.voxels_zyx)
            return {"kind": "scribble", "voxels": voxels.tolist(), "positive": prompt.positive}
        case MaskPrompt():
            return {"kind": "mask", "shape": list(prompt.mask.shape), "runs": _runs(prompt.mask > 0)}
    raise PromptError(f"{type(prompt).__name__} is not a prompt")


def _runs(mask: np.ndarray) -> list[list[int]]:
    """(...) bool -> [[start, length], ...] over the flattened mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask.ravel(), [False]]).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    return [[int(start), int(stop - start)] for start, stop in zip(starts, stops, strict=True)]
