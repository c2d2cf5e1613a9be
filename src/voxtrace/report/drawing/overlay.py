"""A case as a picture: the frame in grey or colour, reference and prediction as lines over it, and the prompt."""

from __future__ import annotations

import base64
import io

import numpy as np
from contourpy import contour_generator
from PIL import Image

from voxtrace.bench.shown import Shown
from voxtrace.prompts import BOX_START, POSITIVE

SIDE = 250  # pixels of the square that it is set into
TRUTH, FOUND, PROMPT = "#4cc9ff", "#ffb000", "#ffffff"
LINES = {  # colour, width, dashes: told apart by either
    "reference": (TRUTH, 1.8, ""),
    "prediction": (FOUND, 2.0, "6 3"),
    "prompt": (PROMPT, 1.5, "1.5 3"),
}


def overlay(shown: Shown) -> str:
    """An <svg> of one frame."""
    tall, wide = shown.picture.shape[:2]
    scale = SIDE / max(wide, tall * shown.aspect)
    size = np.array([wide * scale, tall * scale * shown.aspect])
    per_pixel = size / (wide, tall)
    corner = (SIDE - size) / 2
    parts = [f'<g transform="translate({corner[0]:.1f} {corner[1]:.1f})">', _image(shown.picture, size)]
    for mask, kind in ((shown.given, "prompt"), (shown.truth, "reference"), (shown.mask, "prediction")):
        if path := _outline(mask, per_pixel):
            parts.append(_stroked(f'<path d="{path}"', kind))
    parts += _marks(shown, per_pixel)
    head = f'<svg class="sight" width="{SIDE}" height="{SIDE}" viewBox="0 0 {SIDE} {SIDE}"'
    return f"{head}>{''.join(parts)}</g></svg>"


def key() -> str:
    """What the lines are, drawn on grey so that white can be seen."""
    parts = ['<svg class="key" width="270" height="24" viewBox="0 0 270 24">']
    for x, (name, (colour, width, dashes)) in zip((0, 92, 190), LINES.items(), strict=True):
        parts.append(f'<rect x="{x}" y="4" width="26" height="16" rx="3" fill="#3a4048"/>')
        line = f'stroke="{colour}" stroke-width="{width}"{_dash(dashes)}'
        parts.append(f'<path d="M{x + 2} 12H{x + 24}" fill="none" {line}/>')
        parts.append(f'<text x="{x + 31}" y="16" font-size="12">{name}</text>')
    return "".join((*parts, "</svg>"))


def _image(picture: np.ndarray, size: np.ndarray) -> str:
    """Grey values as they are; a colour photograph with the losses of JPEG, for a tenth of the room."""
    data, grey = io.BytesIO(), picture.ndim == 2
    Image.fromarray(picture).save(data, **({"format": "PNG"} if grey else {"format": "JPEG", "quality": 88}))
    text = base64.b64encode(data.getvalue()).decode()
    place = f'width="{size[0]:.1f}" height="{size[1]:.1f}" preserveAspectRatio="none"'
    return f'<image {place} href="data:image/{"png" if grey else "jpeg"};base64,{text}"/>'


def _outline(mask: np.ndarray, per_pixel: np.ndarray) -> str:
    """The border of a mask, halfway between pixels inside and outside; also where it touches the frame's edge."""
    if not mask.any():
        return ""
    lines = contour_generator(z=np.pad(mask, 1).astype(float)).lines(0.5)
    return "".join(_closed((np.asarray(line) - 0.5) * per_pixel) for line in lines)


def _closed(points: np.ndarray) -> str:
    """Corners alone: what lies on a straight line between its neighbours is left out."""
    ring = points[:-1]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    bends = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring[bends]) + "Z"


def _stroked(element: str, kind: str) -> str:
    """Over a dark line, so that it is seen on light and dark."""
    colour, width, dashes = LINES[kind]
    under = f'{element} fill="none" stroke="#000" stroke-opacity="0.5" stroke-width="{width + 1.6:g}"/>'
    return f'{under}{element} fill="none" stroke="{colour}" stroke-width="{width}"{_dash(dashes)}/>'


def _dash(dashes: str) -> str:
    return f' stroke-dasharray="{dashes}"' if dashes else ""


def _marks(shown: Shown, per_pixel: np.ndarray) -> list[str]:
    """The box, then clicks: a plus on the object, a minus off it."""
    places = shown.points_xy * per_pixel
    corners = places[shown.labels >= BOX_START]
    parts = []
    if len(corners):
        (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
        rect = f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"'
        parts.append(_stroked(rect, "prompt"))
    for (x, y), label in zip(places[shown.labels < BOX_START], shown.labels[shown.labels < BOX_START], strict=True):
        sign = f"M{x - 3:.1f} {y:.1f}h6" + (f"M{x:.1f} {y - 3:.1f}v6" if label == POSITIVE else "")
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="#fff" stroke="#000" stroke-width="1.2"/>')
        parts.append(f'<path d="{sign}" stroke="#000" stroke-width="1.6" fill="none"/>')
    return parts
