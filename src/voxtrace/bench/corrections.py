"""A model that is corrected: marked, mostly with boxes, then with clicks, all objects of a case together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from voxtrace import simulate
from voxtrace.bench.clicks import Click
from voxtrace.bench.truths import Target
from voxtrace.engine import Engine
from voxtrace.errors import InputError
from voxtrace.io.reading import Scan
from voxtrace.prompts import Box, Point, Prompt
from voxtrace.sessions import ImageSession, Session, VolumeSession
from voxtrace.volume import Picture, Volume


class Corrected(Protocol):
    """A model at work on one case. Both give the (D, H, W) labels of all objects."""

    def mark(self, marks: Mapping[int, Prompt]) -> np.ndarray:
        """{label: its first mark} -> labels."""
        ...

    def correct(self, clicks: Mapping[int, Click]) -> np.ndarray:
        """{label: the next click}, none for an object that is right -> labels."""
        ...


Start = Callable[[Scan], Corrected]


def first_mark(target: Target, kind: str, z_range: bool) -> Prompt:
    """What an object is begun with: its "box", or a "click" on its deepest pixel, on the marked frame."""
    if kind == "box":
        return box_of(target, z_range)
    (place,) = simulate.clicks(target.marked, 1, np.random.default_rng(0))
    return Point(target.frame, *place.tolist())


def box_of(target: Target, z_range: bool) -> Box:
    """The tight box on the marked frame. With the z range: on the middle one of that range, and as thick as it; where
    the object is not on that slice, its box on the marked one is spread over the range."""
    if not z_range or target.z_range is None:
        return Box.on_slice(target.frame, *_tight(target.marked))
    z0, z1 = target.z_range
    middle = target.mask[(z0 + z1 - 1) // 2]
    y0, x0, y1, x1 = _tight(middle if middle.any() else target.marked)
    return Box(z0, y0, x0, z1, y1, x1)


def _tight(mask: np.ndarray) -> tuple[int, int, int, int]:
    return simulate.box(mask, 0.0, np.random.default_rng(0))


@dataclass(frozen=True, slots=True, eq=False)
class NetCorrected:
    """A net through a session. Corrections start from the last run's masks."""

    session: Session
    names: dict[int, str] = field(default_factory=dict)

    @classmethod
    def start(cls, engine: Engine) -> Start:
        """Ready to be opened on scans. Raises InputError for a video: its errors are known on some frames only."""

        def opened(scan: Scan) -> NetCorrected:
            if isinstance(scan, Volume):
                return cls(VolumeSession(engine, scan))
            if isinstance(scan, Picture):
                return cls(ImageSession(engine, scan))
            raise InputError("a video is not corrected here; the protocol is one of volumes and pictures")

        return opened

    def mark(self, marks: Mapping[int, Prompt]) -> np.ndarray:
        """Begin every object."""
        for label, mark in marks.items():
            self.names[label] = f"object {label}"
            self.session.add(mark, self.names[label])
        return self._labels()

    def correct(self, clicks: Mapping[int, Click]) -> np.ndarray:
        """Correct the objects that have a click, and look for these again."""
        for label, click in clicks.items():
            self.session.correct(Point(click.z, click.y, click.x, click.positive), self.names[label])
        return self._labels()

    def _labels(self) -> np.ndarray:
        result = self.session.run()
        labels = np.zeros(result.labels.shape, np.uint16)
        for label, name in self.names.items():
            labels[result.mask(name)] = label
        return labels


@dataclass(slots=True, eq=False)
class Watched:
    """A model at work of which the last labels are kept, (D, H, W)."""

    model: Corrected
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint16))

    def mark(self, marks: Mapping[int, Prompt]) -> np.ndarray:
        """As the model does."""
        self.labels = self.model.mark(marks)
        return self.labels

    def correct(self, clicks: Mapping[int, Click]) -> np.ndarray:
        """As the model does."""
        self.labels = self.model.correct(clicks)
        return self.labels
