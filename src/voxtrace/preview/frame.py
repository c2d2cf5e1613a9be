"""One frame drawn: its pixels, the masks as thin outlines, the marks a person made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from voxtrace.preview.scene import Scene, frames_of, whole_frame
from voxtrace.preview.view import View
from voxtrace.prompts import Box, MaskPrompt, Point, Prompt, Recist, Scribble

TEXT = (222, 226, 232)
DIM = (138, 146, 158)
MARK = (255, 255, 255)
PALETTE = (
    (255, 92, 87),
    (72, 202, 255),
    (255, 204, 60),
    (108, 224, 122),
    (230, 130, 255),
    (255, 158, 74),
    (64, 224, 200),
    (170, 160, 255),
)
LARGE, SMALL = 620, 198


def overlay(frame: np.ndarray, labels: np.ndarray, fill: float = 0.25) -> np.ndarray:
    """One frame with its masks at its own size: (H, W, 3) uint8 and (H, W) labels -> (H, W, 3) uint8."""
    result = frame.astype(np.float32)
    for value in np.unique(labels[labels > 0]):
        mask = labels == value
        colour = np.array(colour_of(int(value)), np.float32)
        result[mask] = result[mask] * (1 - fill) + colour * fill
        result[mask & ~eroded(mask, max(1, min(mask.shape) // 360))] = colour
    return result.astype(np.uint8)


def colour_of(label: int) -> tuple[int, int, int]:
    """The colour that stands for a label value everywhere."""
    return PALETTE[(label - 1) % len(PALETTE)]


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Where a crop of a frame lies on a panel: file pixels -> panel pixels."""

    view: View
    crop: tuple[int, int, int, int]
    scale: tuple[float, float]  # panel pixels per (row, column) pixel on the screen

    def place(self, row: float, column: float) -> tuple[float, float]:
        row0, column0, row1, column1 = self.crop
        screen = self.view.places(np.array([[row - row0, column - column0]]), (row1 - row0, column1 - column0))[0]
        return float(screen[1] * self.scale[1]), float(screen[0] * self.scale[0])


def draw_frame(
    scene: Scene,
    index: int,
    crop: tuple[int, int, int, int] | None,
    room: tuple[int, int],
    inset: tuple[int, int, int, int] | None,
    masks: bool = True,
    marks: bool = True,
    caption: str | None = None,
) -> Image.Image:
    crop = crop or whole_frame(scene)
    row0, column0, row1, column1 = crop
    part = (slice(row0, row1), slice(column0, column1))
    pixels = scene.view.pixels(np.asarray(scene.frames[index])[part])
    mm = scene.view.size_mm(scene.pixel_mm)
    tall, wide = pixels.shape[0] * mm[0], pixels.shape[1] * mm[1]
    per_mm = min(room[0] / tall, room[1] / wide)
    size = (max(1, round(wide * per_mm)), max(1, round(tall * per_mm)))
    panel = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    canvas = _Canvas(scene.view, crop, (size[1] / pixels.shape[0], size[0] / pixels.shape[1]))
    if masks:
        panel = _outlines(panel, scene.view.pixels(scene.labels[index][part]), width=2 if room[0] > SMALL else 1)
    draw = ImageDraw.Draw(panel)
    if marks:
        for prompts in scene.prompts.values():
            for mark in prompts:
                if index in frames_of(scene, mark):
                    _draw_mark(draw, canvas, scene, mark, index)
    if inset:
        _corner_ticks(draw, canvas.place(inset[0], inset[1]), canvas.place(inset[2], inset[3]))
    small = room[0] <= SMALL
    label(draw, (5, 3), caption or f"{scene.frame_word} {index}", 13 if small else 17)
    if not small:
        _letters(draw, panel, scene.view.letters)
    return panel


def _outlines(panel: Image.Image, labels: np.ndarray, width: int) -> Image.Image:
    """Draw each label's outline at the panel's resolution, over a breath of its colour."""
    picture = np.asarray(panel).astype(np.float32)
    for value in np.unique(labels[labels > 0]):
        soft = Image.fromarray((labels == value) * np.uint8(255))
        mask = np.asarray(soft.resize(panel.size, Image.Resampling.BILINEAR)) > 127
        colour = np.array(colour_of(int(value)), np.float32)
        picture[mask] = picture[mask] * 0.93 + colour * 0.07
        picture[mask & ~eroded(mask, width)] = colour
    return Image.fromarray(picture.astype(np.uint8))


def eroded(mask: np.ndarray, width: int) -> np.ndarray:
    """(H, W) bool -> the pixels whose 4-neighbours within `width` steps are all inside the mask and the frame."""
    for _ in range(width):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _draw_mark(draw: ImageDraw.ImageDraw, canvas: _Canvas, scene: Scene, mark: Prompt, index: int) -> None:
    def drop(z: float, y: float, x: float) -> tuple[float, float]:
        row, column = (value for axis, value in enumerate((z, y, x)) if axis != scene.frame_axis)
        return row, column

    match mark:
        case Box():
            first, second = drop(mark.z0, mark.y0, mark.x0), drop(mark.z1, mark.y1, mark.x1)
            _dashed_box(draw, canvas.place(*first), canvas.place(*second))
        case Point():
            row, column = drop(mark.z, mark.y, mark.x)
            _click(draw, canvas.place(row + 0.5, column + 0.5), mark.positive)
        case Recist():
            ends = [canvas.place(mark.y0 + 0.5, mark.x0 + 0.5), canvas.place(mark.y1 + 0.5, mark.x1 + 0.5)]
            draw.line(ends, fill=(0, 0, 0), width=4)
            draw.line(ends, fill=MARK, width=2)
        case Scribble():
            for voxel in np.asarray(mark.voxels_zyx, float):
                if round(voxel[scene.frame_axis]) == index:
                    row, column = drop(*voxel.tolist())
                    _dot(draw, canvas.place(row + 0.5, column + 0.5), mark.positive)
        case MaskPrompt():
            mask = mark.mask if mark.mask.ndim == 3 else mark.mask[None]
            for row, column in np.argwhere(np.take(mask, index, axis=scene.frame_axis) > 0):
                x, y = canvas.place(row + 0.5, column + 0.5)
                draw.point((x, y), fill=MARK)


def _dashed_box(draw: ImageDraw.ImageDraw, first: tuple[float, float], second: tuple[float, float]) -> None:
    (x0, x1), (y0, y1) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    for start, stop in (((x0, y0), (x1, y0)), ((x1, y0), (x1, y1)), ((x1, y1), (x0, y1)), ((x0, y1), (x0, y0))):
        length = max(abs(stop[0] - start[0]), abs(stop[1] - start[1]), 1e-6)
        for begin in np.arange(0, length, 9):
            a, b = begin / length, min(1.0, (begin + 5) / length)
            ends = [tuple(s + (e - s) * t for s, e in zip(start, stop, strict=True)) for t in (a, b)]
            draw.line([(x + 1, y + 1) for x, y in ends], fill=(0, 0, 0))
            draw.line([(x, y) for x, y in ends], fill=MARK)


def _click(draw: ImageDraw.ImageDraw, place: tuple[float, float], positive: bool) -> None:
    x, y = place
    colour = (96, 232, 120) if positive else (255, 84, 84)
    draw.ellipse((x - 7, y - 7, x + 7, y + 7), fill=(0, 0, 0), outline=colour, width=2)
    draw.line((x - 4, y, x + 4, y), fill=colour, width=2)
    if positive:
        draw.line((x, y - 4, x, y + 4), fill=colour, width=2)


def _dot(draw: ImageDraw.ImageDraw, place: tuple[float, float], positive: bool) -> None:
    x, y = place
    draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=(96, 232, 120) if positive else (255, 84, 84))


def _corner_ticks(draw: ImageDraw.ImageDraw, first: tuple[float, float], second: tuple[float, float]) -> None:
    """The part that the small panels show."""
    (x0, x1), (y0, y1) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    for x, to_x in ((x0, 10), (x1 - 1, -10)):
        for y, to_y in ((y0, 10), (y1 - 1, -10)):
            draw.line([(x + to_x, y), (x, y), (x, y + to_y)], fill=DIM)


def _letters(draw: ImageDraw.ImageDraw, panel: Image.Image, letters: tuple[str, str, str, str]) -> None:
    left, right, top, bottom = letters
    label(draw, (5, panel.height / 2), left, 15, "lm")
    label(draw, (panel.width - 5, panel.height / 2), right, 15, "rm")
    label(draw, (panel.width / 2, 4), top, 15, "ma")
    label(draw, (panel.width / 2, panel.height - 4), bottom, 15, "md")


def label(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, anchor: str | None = None
) -> None:
    """Text that can be read on white and on black."""
    draw.text(place, text, fill=TEXT, font=font(size), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
