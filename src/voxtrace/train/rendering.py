"""Reading a clip's frames through its window: placed, moved, bent, windowed and coloured at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from voxtrace.train import appearance, augment
from voxtrace.train.cases import LabelledObject, LoadedCase
from voxtrace.train.framing import Rectangle
from voxtrace.train.options import Options
from voxtrace.train.shades import shades


def rendered(
    case: LoadedCase,
    targets: Sequence[LabelledObject],
    axis: int,
    order: list[int],
    window: Rectangle,
    box: Rectangle,
    rng: np.random.Generator,
    options: Options,
) -> tuple[np.ndarray, np.ndarray]:
    """Read, place, move and colour the frames: (T, 3, S, S) uint8, and masks of O targets (O, T, S, S) uint8. Window
    and box are the first target's."""
    length, still = len(order), len(set(order)) == 1
    play = _Play.of(rng, length, still, options) if length > 1 else _Play(False, False, False)
    if len(targets) > 1:
        play = replace(play, fades=False)  # where one lies in another both would have to go
    turned = augment.placement(rng, options.strength, _placed(box, window, np.eye(3))[0])
    steps = [turned] * length
    if length > 1 and (still or rng.random() < 0.25):
        steps = [turned @ move for move in _around(box, window, turned, augment.motion(rng, length, play.leaves))]
    bends = _bends(rng, length, still, play, box, window, turned, options)
    to_pixels = _window_matrix(window)
    maps = [to_pixels @ step for step in steps]
    area = _needed(maps, [s for a, s in enumerate(case.frames.shape[:3]) if a != axis])
    factor = max(1, int(np.sqrt((window[2] - window[0]) * (window[3] - window[1])) / options.size + 0.35))
    source = _source(case, targets, axis, order[:1] if still else order, area, factor, rng)
    flows = augment.grid([_unit_matrix(area, factor) @ m for m in maps], options.size, bends)
    if play.fades:
        drawn = _fading(source, flows, rng)
    else:
        drawn = F.grid_sample(source.expand(length, -1, -1, -1), flows, padding_mode="zeros", align_corners=False)
    masks = (drawn[:, -len(targets) :] > 0.5).to(torch.uint8).transpose(0, 1)
    pictures = drawn[:, : -len(targets)]
    if length > 1 and rng.random() < 0.5:
        pictures = appearance.flicker(pictures, rng)
    pictures = appearance.look(pictures, rng, options.strength)
    pictures = (pictures * 255 + 0.5).to(torch.uint8).expand(-1, 3, -1, -1)
    return np.ascontiguousarray(pictures.numpy()), np.ascontiguousarray(masks.numpy())


@dataclass(frozen=True, slots=True)
class _Play:
    """What becomes of the object in a made-up movement."""

    leaves: bool
    fades: bool
    shrinks: bool

    @classmethod
    def of(cls, rng: np.random.Generator, length: int, still: bool, options: Options) -> _Play:
        draw = rng.random()
        if not still or draw < options.still:
            return cls(False, False, still and rng.random() < 0.3)
        return cls(draw > 1 - (1 - options.still) * 0.3, draw <= 1 - (1 - options.still) * 0.3, rng.random() < 0.6)


def _bends(rng, length, still, play, box, window, turned, options) -> torch.Tensor | None:  # type: ignore[no-untyped-def]
    bends = None
    if rng.random() < options.strength.bend * (2.0 if still and length > 1 else 1.0):
        bends = augment.bending(rng, length, options.size, moving=length > 1)
    if play.shrinks:
        centre, radius = _placed(box, window, turned)
        goal = rng.uniform(0.5, 1.9) if play.fades or rng.random() < 0.5 else rng.uniform(-0.4, 0)
        swell = augment.swelling(centre, radius, np.linspace(0, goal, length), options.size)
        bends = swell if bends is None else bends + swell
    return bends


def _placed(box: Rectangle, window: Rectangle, turned: np.ndarray) -> tuple[tuple[float, float], float]:
    """Where the box's centre comes to lie in the output, in unit (x, y), and the box's mean radius there."""
    y, x = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    there = np.linalg.inv(_window_matrix(window) @ turned) @ [x, y, 1]
    radius = ((box[2] - box[0]) / (window[2] - window[0]) + (box[3] - box[1]) / (window[3] - window[1])) / 2
    return (float(there[0]), float(there[1])), float(radius)


def _around(box: Rectangle, window: Rectangle, turned: np.ndarray, moves: list[np.ndarray]) -> list[np.ndarray]:
    """Turn and scale about the object, not about the window's middle."""
    centre, _ = _placed(box, window, turned)
    return [augment.about(centre, move) for move in moves]


def _window_matrix(window: Rectangle) -> np.ndarray:
    """Unit (x, y) over the window -> frame pixels (x, y), whose first pixel's edge is 0."""
    y0, x0, y1, x1 = window
    return np.array([[(x1 - x0) / 2, 0, (x0 + x1) / 2], [0, (y1 - y0) / 2, (y0 + y1) / 2], [0, 0, 1.0]])


def _unit_matrix(area: tuple[int, int, int, int], factor: int) -> np.ndarray:
    """Frame pixels -> unit over the cut-out, whose size pooling rounds up to a multiple of `factor`."""
    y0, x0, y1, x1 = area
    height, width = (-(-n // factor) * factor for n in (y1 - y0, x1 - x0))
    return np.array([[2 / width, 0, -1 - 2 * x0 / width], [0, 2 / height, -1 - 2 * y0 / height], [0, 0, 1.0]])


def _needed(maps: list[np.ndarray], shape: list[int]) -> tuple[int, int, int, int]:
    """The cut-out of the frame that the maps read: only that is converted to float."""
    corners = np.array([[x, y, 1] for x in (-1.15, 1.15) for y in (-1.15, 1.15)]).T
    xy = np.concatenate([m @ corners for m in maps], 1)[:2]
    low = np.clip(np.floor(xy.min(1)).astype(int) - 2, 0, [shape[1] - 1, shape[0] - 1])
    high = np.clip(np.ceil(xy.max(1)).astype(int) + 2, low + 1, [shape[1], shape[0]])
    return int(low[1]), int(low[0]), int(high[1]), int(high[0])


def _source(case, targets, axis, order, area, factor, rng) -> torch.Tensor:  # type: ignore[no-untyped-def]
    """(T, C + O, h, w) float32: grey or colour in 0..1, masks as the last channels, averaged over `factor` pixels."""
    y0, x0, y1, x1 = area
    frames = np.moveaxis(case.frames, axis, 0)[order, y0:y1, x0:x1]
    masks = np.zeros((len(order), len(targets), *frames.shape[1:3]), np.uint8)
    for own, number in zip(masks, order, strict=True):
        for mask, target in zip(own, targets, strict=True):
            spot = target.on_frame(number, axis)
            if spot is not None:
                _paste(mask, spot[0], spot[1], (y0, x0))
    pictures = torch.from_numpy(frames)
    pictures = pictures[:, None] if pictures.ndim == 3 else pictures.permute(0, 3, 1, 2)
    shown = int(masks[:, 0].any((1, 2)).argmax())  # the frame on which the first target appears
    low, high = shades(case, frames[shown], masks[shown, 0] > 0, rng)
    pictures = augment.pooled(pictures.float(), factor).sub_(low).div_(high - low).clamp_(0, 1)
    return torch.cat([pictures, augment.pooled(torch.from_numpy(masks).float(), factor)], 1)


def _paste(canvas: np.ndarray, first: tuple[int, int], patch: np.ndarray, origin: tuple[int, int]) -> None:
    y, x = first[0] - origin[0], first[1] - origin[1]
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + patch.shape[0], canvas.shape[0]), min(x + patch.shape[1], canvas.shape[1])
    if top < bottom and left < right:
        canvas[top:bottom, left:right] = patch[top - y : bottom - y, left - x : right - x]


def _fading(source: torch.Tensor, flows: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """A still picture whose object pales over a few frames until only its surroundings are left."""
    length = len(flows)
    empty = torch.cat(
        [augment.without_object(source[:, :-1], source[:, -1:], rng), torch.zeros_like(source[:, -1:])], 1
    )
    end = int(rng.integers(1, length))
    lasts = torch.arange(length) < end
    clear = torch.where(lasts, torch.linspace(1.0, float(rng.uniform(0.5, 1.0)), length), torch.zeros(length))
    drawn = F.grid_sample(torch.cat([source, empty], 1).expand(length, -1, -1, -1), flows, align_corners=False)
    seen, bare = drawn.split(source.shape[1], 1)
    pictures = bare[:, :-1] + clear[:, None, None, None] * (seen[:, :-1] - bare[:, :-1])
    return torch.cat([pictures, seen[:, -1:] * lasts[:, None, None, None]], 1)
