"""Whole pictures: a contact sheet of a volume or video, a picture beside its result."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from voxtrace.errors import OutputError
from voxtrace.preview.frame import DIM, LARGE, SMALL, TEXT, colour_of, draw_frame, font
from voxtrace.preview.scene import Scene, crop_of, labels_in, main_frame, shown_frames, whole_frame

BACKGROUND = (14, 16, 20)
GAP, HEADER = 8, 46


def contact_sheet(scene: Scene) -> Image.Image:
    """A volume or video: the prompted frame large, up to 12 frames through the objects, cut to them, beside it."""
    main = main_frame(scene)
    shown = shown_frames(scene, main)
    crop = crop_of(scene)
    large = draw_frame(scene, main, None, (LARGE, LARGE), crop if crop != whole_frame(scene) else None)
    tiles = [draw_frame(scene, index, crop, (SMALL, SMALL), None) for index in shown]
    columns = min(4, max(1, len(tiles)))
    tile_w, tile_h = (tiles[0].width, tiles[0].height) if tiles else (0, 0)
    rows = -(-len(tiles) // columns)
    width = GAP + large.width + GAP + columns * (tile_w + GAP)
    height = HEADER + max(large.height, rows * (tile_h + GAP) - GAP) + GAP + _legend_height(scene)
    sheet = Image.new("RGB", (max(width, 640), height), BACKGROUND)
    _header(sheet, scene)
    sheet.paste(large, (GAP, HEADER))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(tile, (2 * GAP + large.width + column * (tile_w + GAP), HEADER + row * (tile_h + GAP)))
    _legend(sheet, scene)
    return sheet


def gallery(scenes: Sequence[Scene], title: str = "", notes: str = "") -> Image.Image:
    """A set of pictures of any sizes, one small panel each with its masks; a scene's title is the panel's caption."""
    columns = min(6, len(scenes))
    rows = -(-len(scenes) // columns)
    legend = Scene([], np.zeros((0, 1, 1), np.uint8), names=dict(scenes[0].names), title=title, notes=notes)
    size = max(columns * (SMALL + GAP) + GAP, 640), HEADER + rows * (SMALL + GAP) + _legend_height(legend)
    sheet = Image.new("RGB", size, BACKGROUND)
    _header(sheet, legend)
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        panel = draw_frame(scene, 0, None, (SMALL, SMALL), None, caption=scene.title)
        sheet.paste(panel, (GAP + column * (SMALL + GAP), HEADER + row * (SMALL + GAP)))
    _legend(sheet, legend)
    return sheet


def side_by_side(scene: Scene) -> Image.Image:
    """A picture (one frame): with its prompts on the left, with the masks on the right."""
    left = draw_frame(scene, 0, None, (LARGE, LARGE), None, masks=False, caption="prompt")
    right = draw_frame(scene, 0, None, (LARGE, LARGE), None, marks=False, caption="result")
    width = max(3 * GAP + left.width + right.width, 420)
    sheet = Image.new("RGB", (width, HEADER + left.height + GAP + _legend_height(scene)), BACKGROUND)
    _header(sheet, scene)
    sheet.paste(left, (GAP, HEADER))
    sheet.paste(right, (2 * GAP + left.width, HEADER))
    _legend(sheet, scene)
    return sheet


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write PNG or JPEG whole or not at all. Raises OutputError."""
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        picture.save(partial)
        os.replace(partial, path)
    except ValueError as error:
        raise OutputError(f"the preview {path} cannot be written: {error}; use a name that ends in .png") from None
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"the preview {path} cannot be written: {error.strerror or error}") from None


def _header(sheet: Image.Image, scene: Scene) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 5), _fit(draw, scene.title, 16, sheet.width - 2 * GAP), fill=TEXT, font=font(16))
    draw.text((GAP, 26), _fit(draw, scene.notes, 12, sheet.width - 2 * GAP), fill=DIM, font=font(12))


def _legend_entries(scene: Scene) -> list[int]:
    return sorted(labels_in(scene) | set(scene.prompts) | set(scene.names))


def _legend_height(scene: Scene) -> int:
    return 26 if _legend_entries(scene) else 4


def _legend(sheet: Image.Image, scene: Scene) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y = GAP, sheet.height - 22
    for value in _legend_entries(scene):
        text = scene.names.get(value) or f"object {value}"
        end = x + 18 + draw.textlength(text, font=font(13)) + 18
        if end > sheet.width:
            draw.text((x, y), "...", fill=DIM, font=font(13))
            return
        draw.rectangle((x, y + 3, x + 11, y + 14), fill=colour_of(value))
        draw.text((x + 18, y), text, fill=TEXT, font=font(13))
        x = int(end)


def _fit(draw: ImageDraw.ImageDraw, text: str, size: int, room: float) -> str:
    while text and draw.textlength(text, font=font(size)) > room:
        text = text[:-5].rstrip() + "..." if len(text) > 5 else ""
    return text
