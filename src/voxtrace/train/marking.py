"""What a person marks in training: first marks of every kind, then clicks where the mask is wrong.

Marks are made by `simulate` and become points by `on_frames`, as in a session, so a scribble or a RECIST line is shown
to the net exactly as it is at inference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from voxtrace import simulate
from voxtrace.engines.batching import net_points
from voxtrace.errors import InputError
from voxtrace.memory import OF_SETS
from voxtrace.prompts import Box, FramePrompt, Point, Prompt, Recist, Scribble, on_frames
from voxtrace.train.samples import VISIBLE_PIXELS, Way

Kind = Literal["box", "box_and_clicks", "clicks", "mask", "scribble", "recist", "click"]
KINDS: tuple[Kind, ...] = ("box", "box_and_clicks", "clicks", "mask", "scribble", "recist", "click")
NOTHING = FramePrompt()


@dataclass(frozen=True, slots=True)
class PromptMix:
    """Chances of the first prompt's kind, and of a correction click after it; the rest are single clicks.

    hint: the chance that a followed frame is shown the mask before it, for nets that look at it.
    disturbed: the chance that a clip which begins with a mask shows a wrong one to the next frame.
    correction: the chance that the first frame's mask is corrected, by one to `rounds` clicks.
    correction_followed: the chance that one followed frame of a clip is, which is recalled as a marked one from there.
    second: the chance that an object is marked on a second frame of its clip before it is followed.
    random_clicks: share of correcting clicks that lie anywhere in the error (SAM 2's lie so), the others in the middle
    of its largest piece. true_clicks: share that lie anywhere in the object, right or wrong (SAM 2's: 0.1).
    memories: recalled on a frame besides the marked ones. memory: which those are in a set, as at inference
    (`memory.OF_SETS`); bank: how many memories the self-sorting bank keeps.
    """

    box: float = 0.6
    box_and_clicks: float = 0.1
    clicks: float = 0.1
    mask: float = 0.1
    scribble: float = 0.0
    recist: float = 0.0
    correction: float = 0.3
    correction_followed: float = 0.0
    second: float = 0.0
    random_clicks: float = 0.0
    true_clicks: float = 0.0
    box_jitter: float = 0.1
    hint: float = 0.85
    disturbed: float = 0.0
    memories: int = 6
    memory: str = "self-sorting"
    bank: int = 16
    rounds: int = 1

    def __post_init__(self) -> None:
        total = sum(self._named())
        if total > 1:
            raise InputError(f"the chances of the first prompt's kinds sum to {total:g}; they may not exceed 1")
        if self.rounds < 1:
            raise InputError(
                f"rounds is {self.rounds}; a corrected frame has at least 1, and correction = 0 corrects none"
            )
        if self.memory not in OF_SETS:
            raise InputError(f"a set's memory {self.memory!r} is unknown; one of {', '.join(OF_SETS)}")

    def asked(self, way: Way) -> PromptMix:
        """The mix for a batch: mostly single clicks in windows that a click alone gave, mostly masks in a set, where
        nothing but the first picture is ever marked."""
        bare = replace(self, box=0.0, box_and_clicks=0.0, clicks=0.0, mask=0.0, scribble=0.0, recist=0.0)
        if way == "loose":
            return replace(bare, clicks=0.25)
        return replace(bare, box=0.2, mask=0.8, second=0.0, correction_followed=0.0) if way == "set" else self

    def kind(self, rng: np.random.Generator) -> Kind:
        """The first prompt of a batch."""
        named = self._named()
        return KINDS[int(rng.choice(len(KINDS), p=[*named, max(0.0, 1 - sum(named))]))]

    def _named(self) -> list[float]:
        return [self.box, self.box_and_clicks, self.clicks, self.mask, self.scribble, self.recist]


def first_shown(areas: np.ndarray) -> list[int]:
    """The frame where each of N objects is first large enough to be marked, else is largest; areas (N, T) in pixels."""
    found: list[int] = (areas >= np.minimum(VISIBLE_PIXELS, areas.max(1))[:, None]).argmax(1).tolist()
    return found


def frames_to_mark(areas: np.ndarray, mix: PromptMix, rng: np.random.Generator) -> list[tuple[int, list[int]]]:
    """(frame, objects) in order: where each appears, and of some clips one more frame that shows them well."""
    places = set(enumerate(first_shown(areas)))
    if mix.second > rng.random():
        for object, first in enumerate(first_shown(areas)):
            later = first + 1 + np.flatnonzero(areas[object, first + 1 :] >= VISIBLE_PIXELS)
            places |= {(object, int(rng.choice(later)))} if len(later) else set()
    frames = sorted({frame for _, frame in places})
    return [(frame, sorted(object for object, own in places if own == frame)) for frame in frames]


def first_marks(masks: np.ndarray, kind: Kind, mix: PromptMix, rng: np.random.Generator) -> list[FramePrompt]:
    """One kind of marks on N true masks (N, S, S), in their pixels; of a mask given, its box for corrections."""
    few_many = {"box_and_clicks": (1, 2), "clicks": (2, 4), "click": (1, 1)}.get(kind)
    clicks = int(rng.integers(*few_many, endpoint=True)) if few_many else 0
    return [_marked(mask, kind, clicks, mix.box_jitter, rng) for mask in masks]


def more_marks(
    known: list[FramePrompt], masks: np.ndarray, guesses: np.ndarray, mix: PromptMix, rng: np.random.Generator
) -> list[FramePrompt]:
    """Each object's marks with one more click, mostly in the error of its guess; masks and guesses (N, S, S) bool."""
    extended = []
    for prompt, mask, guess in zip(known, masks, guesses, strict=True):
        how = "random" if rng.random() < mix.random_clicks else "centre"
        if mask.any() and rng.random() < mix.true_clicks:
            (y, x), positive = simulate.clicks(mask, 1, rng, how="random")[0].tolist(), True
        else:
            (y, x), positive = simulate.correction_click(mask, guess, rng, how)
        extended.append(prompt.joined(_on_frame([Point(0, y, x, positive)], mask.shape)))
    return extended


def stacked(prompts: list[FramePrompt], size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Points (N, P, 2) in the net's pixels, 0 = the first one's centre, and labels (N, P), padded with label -1."""
    longest = max(len(prompt.labels) for prompt in prompts)
    points = np.zeros((len(prompts), longest, 2), np.float32)
    labels = np.full((len(prompts), longest), -1, np.int64)
    for row, prompt in enumerate(prompts):
        count = len(prompt.labels)
        points[row, :count], labels[row, :count] = net_points(prompt, (size, size), size), prompt.labels
    return torch.from_numpy(points).to(device), torch.from_numpy(labels).to(device)


def _marked(mask: np.ndarray, kind: Kind, clicks: int, jitter: float, rng: np.random.Generator) -> FramePrompt:
    prompts: list[Prompt] = []
    if kind in ("box", "box_and_clicks", "mask"):
        prompts.append(Box.on_slice(0, *simulate.box(mask, jitter, rng)))
    if kind == "scribble":
        prompts.append(Scribble.from_mask(simulate.scribble(mask, rng)))
    if kind == "recist":
        (start, stop), _ = simulate.recist(mask)
        prompts.append(Recist(0, *start, *stop) if start != stop else Point(0, *start))
    if clicks:
        how = "random" if rng.random() < 0.5 else "centre"
        prompts += [Point(0, y, x) for y, x in simulate.clicks(mask, clicks, rng, how=how).tolist()]
    return _on_frame(prompts, mask.shape)


def _on_frame(prompts: list[Prompt], shape: tuple[int, ...]) -> FramePrompt:
    return on_frames(prompts, (1, shape[0], shape[1]))[0][0]
