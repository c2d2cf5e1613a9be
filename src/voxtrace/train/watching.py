"""Pictures of what a net in training draws: the same few clips each time, so that a person sees it learn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from voxtrace.errors import InputError
from voxtrace.model.mask_decoder import resize
from voxtrace.model.sam2 import Encoded, Heads, Memory, Sam2, Shown
from voxtrace.preview.frame import eroded, label
from voxtrace.train.cases import LoadedCase
from voxtrace.train.feeding import MEAN, STD, clips
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Way

FOLDER = "pictures"
TRUTH, FOUND = (72, 202, 255), (255, 176, 0)
TILE, GAP = 144, 4  # pixels
CLIPS, FRAMES = 5, 6
OTHER_SEED = 7919  # the clips watched are not those of the first steps
MEMORIES = 6
NAMED = 16  # letters of a set's name fit beside the Dice


@dataclass(frozen=True, slots=True)
class Watched:
    """One clip: images (1, T, 3, S, S) normalised, truth (1, T, S, S)."""

    images: Tensor
    truth: Tensor
    way: Way
    name: str


def choose_watched(recipe: Recipe, cases: Sequence[LoadedCase], image_size: int) -> list[Watched]:
    """A few clips, decided by the recipe's seed."""
    single = replace(recipe.samples, objects=1, appears=0.0)
    quiet = replace(recipe, workers=0, seed=recipe.seed + OTHER_SEED, frames=1, parts=1, samples=single)
    try:
        drawn = list(islice(clips(quiet, cases, image_size, 0), CLIPS))
    except InputError:  # no clip can be drawn: the first step says so better
        return []
    return [
        _from_where_it_is(images[:1], truth[:1], batch.way, batch.metas[0]["set"]) for images, truth, batch in drawn
    ]


def _from_where_it_is(images: Tensor, truth: Tensor, way: Way, name: str) -> Watched:
    """The first object of a clip, from the frame on where it is."""
    truth = truth if truth.ndim == 4 else truth[:, 0]
    first = int(truth[0].flatten(1).any(1).float().argmax())
    return Watched(images[:, first:], truth[:, first:], way, name)


def draw_sheet(net: Sam2, watched: Sequence[Watched], folder: Path, step: int) -> Path:
    """Write pictures/STEP.png: a row a clip, the truth's outline blue, the net's amber. The net's mode is kept."""
    mode = [(module, module.training) for module in net.modules()]
    net.eval()
    device = next(net.parameters()).device
    rows = []
    for one in watched:
        masks = follow(net, one.images.to(device), one.truth.to(device), one.way)
        rows.append(_row(one, masks.cpu().numpy()))
    for module, training in mode:
        module.training = training
    width, height = max(row.width for row in rows), sum(row.height + GAP for row in rows)
    sheet = Image.new("RGB", (width, height), (14, 16, 20))
    for number, row in enumerate(rows):
        sheet.paste(row, (0, number * (row.height + GAP)))
    path = folder / FOLDER / f"{step:08d}.png"
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    sheet.save(part, "PNG")
    os.replace(part, path)
    return path


@torch.no_grad()
def follow(net: Sam2, images: Tensor, truth: Tensor, way: Way = "clip") -> Tensor:
    """Masks (T, S, S) bool of one clip (1, T, ...): a box on the first frame, then what the net makes of the others."""
    length, size = truth.shape[1], truth.shape[-1]
    encoded = net.encode(images[0])
    frames = [encoded.frame(t) for t in range(length)]
    rows, columns = torch.nonzero(truth[0, 0].any(1))[:, 0], torch.nonzero(truth[0, 0].any(0))[:, 0]
    corners = torch.stack([torch.stack([columns[0], rows[0]]), torch.stack([columns[-1], rows[-1]])])[None].float()
    heads = net.begin(frames[0], corners, torch.tensor([[2, 3]], device=images.device))
    past, kept = [heads], list[Tensor]()
    for time in range(1, length):
        last = past[-1]
        kept.append(net.remember(frames[time - 1], last.logits, last.object_score, certain=time == 1))
        recalled = _recalled(net, kept, past, time, way)
        past.append(net.follow(frames[time], recalled, *_shown(frames, past, time, way)))
    return torch.cat([resize(one.logits, size)[:, 0] > 0 for one in past])


def _recalled(net: Sam2, kept: list[Tensor], past: list[Heads], time: int, way: Way) -> Memory:
    """The marked frame and the last ones, at their distances; in a set without a place in time."""
    chosen = sorted({0, *range(max(0, time - MEMORIES), time)})
    if way == "set":
        return net.recall([(kept[t], None if t else 0) for t in chosen], [(past[0].pointer, 0)])
    return net.recall([(kept[t], time - t if t else 0) for t in chosen], [(past[t].pointer, time - t) for t in chosen])


def _shown(frames: list[Encoded], past: list[Heads], time: int, way: Way) -> list[Shown]:
    which = 0 if way == "set" else time - 1
    image = frames[which].image
    return [] if image is None else [Shown(past[which].logits, image, placed=way != "set")]


def _row(one: Watched, masks: np.ndarray) -> Image.Image:
    """(T, S, S) bool -> up to FRAMES tiles side by side, with their Dice."""
    truth = one.truth[0].numpy() > 0
    shown = sorted({round(place) for place in np.linspace(0, len(truth) - 1, FRAMES)})
    row = Image.new("RGB", (len(shown) * (TILE + GAP), TILE), (14, 16, 20))
    for column, time in enumerate(shown):
        tile = _tile(one.images[0, time], truth[time], masks[time])
        both = 2 * (truth[time] & masks[time]).sum()
        total = truth[time].sum() + masks[time].sum()
        words = f" {one.name[:NAMED]}" if column == 0 else ""
        label(ImageDraw.Draw(tile), (4, 3), f"{both / total:.2f}{words}" if total else f"absent{words}", 11)
        row.paste(tile, (column * (TILE + GAP), 0))
    return row


def _tile(image: Tensor, truth: np.ndarray, found: np.ndarray) -> Image.Image:
    pixels = (image * STD + MEAN).clamp(0, 255).byte().permute(1, 2, 0).numpy()
    large = np.asarray(Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BILINEAR)).copy()
    for mask, colour in ((truth, TRUTH), (found, FOUND)):
        fine = np.asarray(Image.fromarray(mask).resize((TILE, TILE), Image.Resampling.NEAREST))
        large[fine & ~eroded(fine, 1)] = colour
    return Image.fromarray(large)
