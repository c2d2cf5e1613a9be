"""What can be measured: nets, methods that need no weights, and masks that somebody made elsewhere.

A method is opened on a scan and then asked for one object after the other. It is told the question, never the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from voxtrace import checkpoints, engines
from voxtrace.bench.asking import Question
from voxtrace.engine import Engine
from voxtrace.hashing import sha256_of
from voxtrace.io.reading import Scan
from voxtrace.manifest import KINDS, Case
from voxtrace.prompts import FramePrompt, Prompt
from voxtrace.sessions import ImageSession, Session, VideoSession, VolumeSession
from voxtrace.volume import Picture, Video, Volume
from voxtrace.windowing import Limits, Window, automatic

BOXES_ALONE = ("box", "box-jitter", "mask")  # a mask is taken as it is, its box goes on from slice to slice

Find = Callable[[Question], np.ndarray]  # -> (D, H, W) bool of the whole scan; a picture's D is 1


class Method(Protocol):
    """Something that finds objects."""

    @property
    def name(self) -> str:
        """As the results call it."""
        ...

    @property
    def kinds(self) -> Collection[str]:
        """The kinds of cases that it can work on."""
        ...

    @property
    def needs_range(self) -> bool:
        """Whether it can work on a volume only if it is told between which slices the object lies."""
        ...

    def takes(self, prompt: str) -> bool:
        """Whether it can be asked with this kind of prompt."""
        ...

    def weights(self) -> dict[str, str | int]:
        """What is recorded of its weights; {} if it has none."""
        ...

    def open(self, case: Case, scan: Scan) -> Find:
        """Get ready for the objects of one case."""
        ...


@dataclass(frozen=True, eq=False)
class Net:
    """A model by registered name or weights file, through a session of the scan's kind."""

    model: str
    device: str = "auto"
    image_size: int | None = None

    @cached_property
    def name(self) -> str:
        """Its registered name, or the file's without place and ending: results hold no path of this machine."""
        return self._located.name

    @cached_property
    def engine(self) -> Engine:
        """Loaded when first asked for. Raises ModelError for unknown names, CheckpointError for files that do not
        fit."""
        return engines.open_engine(self.model, self.device, self.image_size)

    @property
    def kinds(self) -> Collection[str]:
        """All; of a net that cannot follow an object, pictures and volumes."""
        return KINDS if self.engine.follows else ("image", "volume")

    @property
    def needs_range(self) -> bool:
        """Of a net that cannot follow: it goes through the told slices with the box of its last mask."""
        return not self.engine.follows

    def takes(self, prompt: str) -> bool:
        """Everything; a net that cannot follow was trained with boxes alone."""
        return self.engine.follows or prompt in BOXES_ALONE

    def weights(self) -> dict[str, str | int]:
        """The hash of its file, and what the file is run as."""
        located = self._located
        return {"sha256": sha256_of(located.path), "net": located.config, "image_size": located.image_size}

    @cached_property
    def _located(self) -> checkpoints.Located:
        return checkpoints.resolve(self.model, self.image_size)

    def open(self, case: Case, scan: Scan) -> Find:
        """One session for all objects: a frame is encoded once, for the first of them."""
        session = self._session(scan)

        def find(question: Question) -> np.ndarray:
            if question.z_range is None or not isinstance(scan, Volume):
                return _found(session, question)
            return self._found_within(scan, question, *question.z_range)

        return find

    def _session(self, scan: Scan) -> Session:
        match scan:
            case Picture():
                return ImageSession(self.engine, scan)
            case Volume():
                return VolumeSession(self.engine, scan)
            case Video():
                return VideoSession(self.engine, scan)

    def _found_within(self, scan: Volume, question: Question, z0: int, z1: int) -> np.ndarray:
        """As the published scripts do with a known range: the other slices are never seen, nothing ends a walk."""
        window = Settled(automatic(scan).limits(scan.array))
        session = ToldSession(self.engine, replace(scan, array=scan.array[z0:z1]), window=window, stop=None)
        mask = np.zeros(scan.shape, bool)
        mask[z0:z1] = _found(session, question.within(z0, z1))
        return mask


class ToldSession(VolumeSession):
    """A part of a scan, cut out between told slices: the object may lie on all of them."""

    def _on_frames(self, prompts: Prompt | Iterable[Prompt]) -> tuple[dict[int, FramePrompt], tuple[range, ...]]:
        frames, _ = super()._on_frames(prompts)
        return frames, (range(len(self.frames)),)


@dataclass(frozen=True, slots=True)
class Settled(Window):
    """A window already settled on the whole scan, for a part of it."""

    of_scan: Limits

    def limits(self, array: np.ndarray) -> Limits:
        """Those of the whole scan, whatever the part holds."""
        return self.of_scan


def _found(session: Session, question: Question) -> np.ndarray:
    """The object's (D, H, W) mask; the session forgets it again, found or not."""
    name = f"object {question.label}"
    session.add(question.prompts, name)
    try:
        return session.run().mask(name)
    finally:
        session.remove(name)
