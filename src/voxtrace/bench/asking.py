"""How an object is marked for a model: from its reference mask on one frame to prompts, and what that gives away.

A way of asking is a name, some with an amount: `box`, `box-jitter:0.2`. The same seed, case and object give the same
marks, whatever else is measured and in whatever order.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from voxtrace import simulate
from voxtrace.bench.truths import Target
from voxtrace.errors import PromptError
from voxtrace.memory import OF_SETS
from voxtrace.prompts import Box, MaskPrompt, Point, Prompt, Recist, Scribble

ONE_PROMPT = "oneprompt"  # another image of the set is marked
SORTED = "self-sorting"
GIVEN = "given"  # nothing is asked: the masks are there
Marks = Callable[[Target, float, np.random.Generator], list[Prompt]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of prompt. knowledge: what of the truth it is made from, {0} the amount. amount: where none is given."""

    marks: Marks
    knowledge: str
    amount: float | None = None
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Way:
    """How to ask. amount: of the kinds that have one, how far the marks are off. memory: of one prompt for a set, which
    of its pictures are recalled, a key of OF_SETS."""

    kind: str
    amount: float = 0.0
    memory: str = SORTED

    def __str__(self) -> str:
        if self.memory != SORTED:
            return f"{self.kind}:{self.memory}"
        default = KINDS[self.kind].amount if self.kind in KINDS else None
        return self.kind if default is None else f"{self.kind}:{self.amount:g}"


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """All that a model is told of an object. frame: the marked one. z_range: the half-open slices where it lies."""

    label: int
    frame: int
    prompts: tuple[Prompt, ...]
    z_range: tuple[int, int] | None = None

    def within(self, z0: int, z1: int) -> Question:
        """The same of the slices z0..z1 alone, counted from the first of them."""
        prompts = tuple(_moved(prompt, z0, z1) for prompt in self.prompts)
        return Question(self.label, self.frame - z0, prompts, (0, z1 - z0))


def parse_way(text: str) -> Way:
    """`box`, `box-jitter:0.2`, `oneprompt:fifo`, ... Raises PromptError for an unknown kind or an amount that means
    nothing."""
    kind, _, amount = text.partition(":")
    if kind == ONE_PROMPT:
        if (amount or SORTED) not in OF_SETS:
            raise PromptError(f"prompt {text!r} is unknown; the memory of {ONE_PROMPT} is one of {', '.join(OF_SETS)}")
        return Way(kind, memory=amount or SORTED)
    if kind not in KINDS:
        raise PromptError(f"prompt {text!r} is unknown; one of {', '.join([*KINDS, ONE_PROMPT])}")
    known = KINDS[kind]
    if not amount:
        return Way(kind, known.amount or 0.0)
    try:
        value = float(amount)
    except ValueError:
        value = -1.0
    if known.amount is None or not 0 <= value <= known.most:
        form = f"{kind}:{known.amount:g}, at most {known.most:g}" if known.amount is not None else kind
        raise PromptError(f"prompt {text!r} cannot be made; write {form}")
    return Way(kind, value)


def ask(way: Way, target: Target, case: str, seed: int, z_range: bool = False) -> Question:
    """The marks of one object of a case."""
    if way.kind == GIVEN:
        return Question(target.label, target.frame, ())
    rng = np.random.default_rng([seed, zlib.crc32(f"{case}\n{target.label}\n{way.kind}".encode())])
    prompts = KINDS[way.kind].marks(target, way.amount, rng)
    return Question(target.label, target.frame, tuple(prompts), target.z_range if z_range else None)


def knowledge(way: Way, kind: str, z_range: bool = False) -> str:
    """What of the truth the marks are made from, in words, for a case of this kind."""
    if way.kind == GIVEN:
        return "not known"
    if way.kind == ONE_PROMPT:
        return "its mask on one other image of the set"
    place = {"image": "", "volume": ", on the middle slice of its z range", "video": ", on its first labelled frame"}
    told = "; its z range" if z_range else ""
    return KINDS[way.kind].knowledge.format(f"{way.amount:g}") + place[kind] + told


def _moved(prompt: Prompt, z0: int, z1: int) -> Prompt:
    match prompt:
        case Box():
            return replace(prompt, z0=prompt.z0 - z0, z1=prompt.z1 - z0)
        case Point() | Recist():
            return replace(prompt, z=prompt.z - z0)
        case Scribble():
            return replace(prompt, voxels_zyx=prompt.voxels_zyx - [z0, 0, 0])
        case MaskPrompt():
            return MaskPrompt(prompt.mask[z0:z1])


def _box(target: Target, jitter: float, rng: np.random.Generator) -> list[Prompt]:
    return [Box.on_slice(target.frame, *simulate.box(target.marked, jitter, rng))]


def _clicks(count: int) -> Marks:
    def marks(target: Target, _amount: float, rng: np.random.Generator) -> list[Prompt]:
        return [Point(target.frame, *place) for place in simulate.clicks(target.marked, count, rng).tolist()]

    return marks


def _missed_click(target: Target, pixels: float, rng: np.random.Generator) -> list[Prompt]:
    """The middle click, moved evenly within a disc; never off the frame, but perhaps off the object."""
    (place,) = simulate.clicks(target.marked, 1, rng)
    angle, far = rng.uniform(0, 2 * np.pi), pixels * np.sqrt(rng.uniform())
    moved = np.rint(place + far * np.array([np.sin(angle), np.cos(angle)]))
    y, x = np.clip(moved, 0, np.array(target.marked.shape) - 1).tolist()
    return [Point(target.frame, y, x)]


def _wrong_clicks(target: Target, rate: float, rng: np.random.Generator) -> list[Prompt]:
    """Five clicks inside, each with the wrong sign at this rate; the first stays right: a person would see it miss."""
    places = simulate.clicks(target.marked, 5, rng).tolist()
    wrong = rng.uniform(size=5) < rate
    return [Point(target.frame, y, x, positive=n == 0 or not wrong[n]) for n, (y, x) in enumerate(places)]


def _scribble(target: Target, _amount: float, rng: np.random.Generator) -> list[Prompt]:
    line = np.argwhere(simulate.scribble(target.marked, rng))
    return [Scribble(np.insert(line, 0, target.frame, axis=1))]


def _recist(target: Target, _amount: float, _rng: np.random.Generator) -> list[Prompt]:
    (y0, x0), (y1, x1) = simulate.recist(target.marked)[0]
    if (y0, x0) == (y1, x1):  # one pixel: a line must have a length
        x0, x1 = x0 - 0.4, x1 + 0.4
    return [Recist(target.frame, y0, x0, y1, x1)]


def _mask(target: Target, _amount: float, _rng: np.random.Generator) -> list[Prompt]:
    mask = np.zeros((target.depth, *target.marked.shape), bool)
    mask[target.frame] = target.marked
    return [MaskPrompt(mask)]


KINDS = {
    "box": Kind(_box, "its tight box"),
    "box-jitter": Kind(_box, "its box, each side off by up to {0} of the size", 0.1, 0.9),
    "click": Kind(_clicks(1), "its deepest pixel"),
    "clicks5": Kind(_clicks(5), "five pixels deep inside it"),
    "scribble": Kind(_scribble, "a curve inside it"),
    "mask": Kind(_mask, "its mask"),
    "recist": Kind(_recist, "its longest diameter"),
    "click-jitter": Kind(_missed_click, "a pixel up to {0} pixels from its deepest one", 5.0, 1000.0),
    "wrong-clicks": Kind(_wrong_clicks, "five pixels inside it, with the wrong sign at a rate of {0}", 0.1, 1.0),
}
