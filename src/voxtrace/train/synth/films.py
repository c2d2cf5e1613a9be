"""Things that move: each has its own path and bends as it goes, the camera moves too, some pass before others.

Everything is a layer on a square canvas, read for each frame through a smooth map. Unit coordinates run from -1 to 1
over the frame, in (x, y) order as grid_sample wants them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from voxtrace.train.synth import ribbons, solids
from voxtrace.train.synth.canvas import Canvas
from voxtrace.train.synth.fields import smooth_field
from voxtrace.train.synth.painting import APART

LAYER = 96  # side of a thing's own picture
SHAPES = (solids.blobs, solids.blobs, ribbons.walls, ribbons.folds)


class Path(NamedTuple):
    """Of one thing over T frames: centre (T, 2) in unit xy, half its size (T,), its turn (T,) in radians, how far it
    is bent (T,)."""

    centre: np.ndarray
    size: np.ndarray
    turn: np.ndarray
    bend: np.ndarray


def film(rng: np.random.Generator, device: str | torch.device = "cpu") -> tuple[Tensor, np.ndarray]:
    """Frames (C, T, H, W) float32 in 0..1 without a camera's blemishes, and labels (T, H, W) int32."""
    length, height, width = int(rng.integers(8, 21)), int(rng.integers(80, 136)), int(rng.integers(80, 136))
    channels = 3 if rng.random() < 0.4 else 1
    camera = _camera(rng, length)
    ground = rng.uniform(0.1, 0.9, channels)
    image = _backdrop(rng, ground, camera, (length, height, width), device)
    labels = torch.zeros(length, height, width, dtype=torch.int32, device=device)
    things = int(rng.integers(1, 6))
    sign = rng.choice([-1, 1])
    for value in range(1, things + 1):
        tone = ground + sign * rng.uniform(0.1, 0.4) + rng.normal(0, 0.05, channels)
        away = tone.clip(0.03, 0.97)
        tone = away if np.abs(away - ground).max() > APART else 1 - ground
        layer = _thing(rng, tone, device)
        drawn = _moved(rng, layer, _path(rng, length, rng.uniform(0.15, 0.45)), camera, (height, width))
        image, labels = _over(image, labels, drawn, value)
    if rng.random() < 0.4:  # something unlabelled passes before them
        layer = _thing(rng, rng.uniform(0.05, 0.95, channels), device)
        drawn = _moved(rng, layer, _crossing(rng, length), camera, (height, width))
        image, labels = _over(image, labels, drawn, 0)
    flicker = torch.from_numpy(1 + 0.04 * rng.normal(size=length).astype(np.float32)).to(device)
    image = image * flicker[:, None, None] if rng.random() < 0.4 else image
    return image, labels.cpu().numpy()


def _over(image: Tensor, labels: Tensor, drawn: Tensor, value: int) -> tuple[Tensor, Tensor]:
    """Lay a moving thing (T, C + 1, H, W), its cover last, over the film."""
    cover = drawn[:, -1]
    image = image + cover * (drawn[:, :-1].transpose(0, 1) - image)
    return image, torch.where(cover > 0.5, value, labels).to(torch.int32)


def _thing(rng: np.random.Generator, tone: np.ndarray, device: str | torch.device) -> Tensor:
    """(C + 1, S, S): a thing with its texture on a square of its own, and where it covers what lies behind."""
    for _ in range(8):
        canvas = Canvas.blank((1, LAYER, LAYER))
        SHAPES[int(rng.integers(len(SHAPES)))](rng, canvas)
        cover = _largest(canvas.labels[0] > 0)
        edge = cover[[0, -1]].any() or cover[:, [0, -1]].any()
        if cover.mean() > 0.06 and not edge:
            break
    else:
        y, x = np.mgrid[-1 : 1 : LAYER * 1j, -1 : 1 : LAYER * 1j]
        cover = (x / 0.7) ** 2 + (y / rng.uniform(0.35, 0.8)) ** 2 < 1
    rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
    cut = cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(cut.shape) + 8
    square = np.zeros((side, side), np.float32)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    alpha = torch.from_numpy(square).to(device)
    texture = smooth_field(rng, (1, side, side), (1.0, rng.uniform(3, 12), rng.uniform(3, 12)), device)
    body = torch.from_numpy(tone.astype(np.float32)).to(device)[:, None, None] + texture * float(rng.uniform(0, 0.08))
    return torch.cat([body, alpha[None]])


def _largest(mask: np.ndarray) -> np.ndarray:
    """Its largest connected piece: a thing is one."""
    pieces, count = ndimage.label(mask)
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:]) if count > 1 else mask


def _moved(rng: np.random.Generator, layer: Tensor, path: Path, camera: Path, size: tuple[int, int]) -> Tensor:
    """The layer on every frame, (T, C + 1, H, W)."""
    xy = _seen(camera, size, layer.device)
    centre = torch.from_numpy(path.centre.astype(np.float32)).to(layer.device)[:, None, None]
    xy = xy - centre
    turn = torch.from_numpy(path.turn.astype(np.float32)).to(layer.device)[:, None, None]
    half = torch.from_numpy(path.size.astype(np.float32)).to(layer.device)[:, None, None]
    x, y = xy.unbind(-1)
    own = torch.stack([turn.cos() * x + turn.sin() * y, turn.cos() * y - turn.sin() * x], -1) / half[..., None]
    bend = torch.from_numpy(path.bend.astype(np.float32)).to(layer.device)[:, None, None]
    wave = float(rng.uniform(1.5, 3.0))
    x, y = own.unbind(-1)
    own = torch.stack([x + bend * torch.sin(wave * y), y + bend * torch.sin(wave * x + 1.0)], -1)
    return F.grid_sample(layer.expand(len(own), -1, -1, -1), own, align_corners=False, padding_mode="zeros")


def _backdrop(
    rng: np.random.Generator, ground: np.ndarray, camera: Path, shape: tuple[int, int, int], device: str | torch.device
) -> Tensor:
    """(C, T, H, W): textured ground that the camera moves over; it is larger than the frame."""
    length, height, width = shape
    side = 160
    rough = float(rng.uniform(0.01, 0.08))
    fields = [smooth_field(rng, (1, side, side), (1.0, p, p), device) for p in (rng.uniform(3, 7), rng.uniform(12, 40))]
    texture = fields[0] * rough + fields[1] * float(rng.uniform(0, 0.09))
    picture = torch.from_numpy(ground.astype(np.float32)).to(device)[:, None, None] + texture
    xy = _seen(camera, (height, width), device) / 2
    drawn = F.grid_sample(picture.expand(length, -1, -1, -1), xy, align_corners=False, padding_mode="reflection")
    return drawn.transpose(0, 1)


def _seen(camera: Path, size: tuple[int, int], device: str | torch.device) -> Tensor:
    """(T, H, W, 2): where in the world every pixel of every frame looks."""
    y = torch.linspace(-1, 1, size[0], device=device)[:, None].expand(size)
    x = torch.linspace(-1, 1, size[1], device=device).expand(size)
    turn, half = (torch.from_numpy(v.astype(np.float32)).to(device)[:, None, None] for v in (camera.turn, camera.size))
    centre = torch.from_numpy(camera.centre.astype(np.float32)).to(device)
    return torch.stack(
        [
            half * (turn.cos() * x - turn.sin() * y) + centre[:, 0, None, None],
            half * (turn.sin() * x + turn.cos() * y) + centre[:, 1, None, None],
        ],
        -1,
    )


def _camera(rng: np.random.Generator, length: int) -> Path:
    """Still in some films; else it sways, nears and turns a little."""
    strength = 0.0 if rng.random() < 0.35 else rng.uniform(0.05, 0.2)
    return Path(
        strength * _swaying(rng, length, 2),
        1 + 0.4 * strength * _swaying(rng, length, 1)[:, 0],
        strength * _swaying(rng, length, 1)[:, 0],
        np.zeros(length),
    )


def _path(rng: np.random.Generator, length: int, half: float) -> Path:
    """Of a thing: it sways about its place, beats, turns; in some films it leaves and comes back, or stays away."""
    place = rng.uniform(-0.6, 0.6, 2)
    centre = place + rng.uniform(0.05, 0.3) * _swaying(rng, length, 2)
    leaves = rng.random()
    if leaves < 0.3:
        away = rng.normal(size=2)
        away = away / np.linalg.norm(away) * (1.6 + half)
        when = np.linspace(0, 1, length) - rng.uniform(-0.2, 0.5)
        out = np.sin(np.clip(when * np.pi / rng.uniform(0.5, 1.0), 0, np.pi if leaves < 0.2 else np.pi / 2))
        centre = centre + out[:, None] * away
    beat = 1 + rng.uniform(0, 0.25) * np.sin(np.linspace(0, rng.uniform(2, 12), length) + rng.uniform(0, 6))
    turn = rng.uniform(0, 6.3) + rng.uniform(0, 0.6) * _swaying(rng, length, 1)[:, 0]
    return Path(centre, half * beat, turn, rng.uniform(0, 0.15) * _swaying(rng, length, 1)[:, 0])


def _crossing(rng: np.random.Generator, length: int) -> Path:
    """From one side of the frame to the other."""
    angle = rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-way[1], way[0]]) * rng.uniform(-0.4, 0.4)
    at = np.linspace(-1.8, rng.uniform(0.5, 1.8), length)[:, None]
    return Path(at * way + aside, np.full(length, rng.uniform(0.2, 0.5)), np.full(length, angle), np.zeros(length))


def _swaying(rng: np.random.Generator, length: int, count: int) -> np.ndarray:
    """(T, count) within about -1 and 1: two slow waves."""
    times = np.linspace(0, 1, length)[:, None]
    slow = np.sin(2 * np.pi * rng.uniform(0.3, 0.9, count) * times + rng.uniform(0, 6.3, count))
    quick = np.sin(2 * np.pi * rng.uniform(0.9, 2.2, count) * times + rng.uniform(0, 6.3, count))
    return 0.75 * slow + 0.25 * quick
