"""What a person said, as values, and the history of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from voxtrace.errors import PromptError
from voxtrace.prompts import NEGATIVE, FramePrompt
from voxtrace.result import Track
from voxtrace.view import View

MAX_LABEL = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What a person said of one object.

    frames: {frame: prompt}. limits: ranges of frames in which it may lie, one for each 3D box; none for all frames.
    views: {frame: the window in which it was seen when it was corrected}.
    """

    frames: Mapping[int, FramePrompt]
    limits: tuple[range, ...]
    views: Mapping[int, View] = field(default_factory=dict)

    def joined(self, frames: Mapping[int, FramePrompt], limits: tuple[range, ...], anew: Collection[int] = ()) -> Marks:
        """With more prompts; on the frames `anew` they replace the earlier ones. A 3D box adds its limits."""
        kept = {f: prompt for f, prompt in self.frames.items() if f not in anew}
        both = {**self.frames, **{f: kept[f].joined(p) if f in kept else p for f, p in frames.items()}}
        return replace(self, frames=both, limits=(*self.limits, *limits))


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """One object of a session. locked: its track, frozen; None while it is free to change.

    number: counts the objects of a session, also those that are gone: a label may be given again, a number never is.
    """

    label: int
    name: str
    marks: Marks
    number: int
    locked: Track | None = None


class History:
    """The objects as they are marked now, and every earlier state: each is a tuple of frozen values.

    place: what a frame is called ("z", "frame").
    """

    def __init__(self, place: str = "frame") -> None:
        self._place = place
        self._states: list[tuple[Object, ...]] = [()]
        self._now = 0
        self._labels_used: set[int] = set()
        self._num_objects = 0

    @property
    def objects(self) -> tuple[Object, ...]:
        """The state that holds now."""
        return self._states[self._now]

    def undo(self) -> bool:
        """Go one state back; False if there is none."""
        self._now -= (moved := self._now > 0)
        return moved

    def redo(self) -> bool:
        """Go one state forward again; False if there is none."""
        self._now += (moved := self._now < len(self._states) - 1)
        return moved

    def change(self, objects: tuple[Object, ...]) -> None:
        """Begin a new state; what was undone before is gone."""
        self._states[self._now + 1 :] = [objects]
        self._now += 1

    def replace(self, old: Object, new: Object) -> None:
        """A new state with one object exchanged."""
        self.change(tuple(new if o is old else o for o in self.objects))

    def mark(
        self,
        object: str | int,
        frames: Mapping[int, FramePrompt],
        limits: tuple[range, ...],
        views: Mapping[int, View] | None = None,
        anew: Collection[int] = (),
    ) -> None:
        """A new state in which an object, new or known, has more prompts; on the frames `anew` only these.

        Raises PromptError, and keeps the state, without prompts and where a frame would have negative points only.
        """
        if not frames:
            raise PromptError("an empty list of prompts marks nothing; give at least one")
        if not any(object in (o.label, o.name) for o in self.objects):
            return self.change((*self.objects, self._new(object, Marks(frames, limits))))
        found = self.free(object)
        marks = replace(found.marks.joined(frames, limits, anew), views={**found.marks.views, **(views or {})})
        self._check_located(found.name, marks)
        return self.replace(found, replace(found, marks=marks))

    def find(self, object: str | int) -> Object:
        """The object of this name or label. Raises PromptError for an unknown one."""
        for o in self.objects:
            if object in (o.label, o.name):
                return o
        known = ", ".join(f"{o.label} ({o.name})" for o in self.objects) or "none"
        raise PromptError(f"there is no object {object!r}; there are: {known}")

    def free(self, object: str | int) -> Object:
        """The same, for an object that is to be changed. Raises PromptError if it is locked."""
        found = self.find(object)
        if found.locked is not None:
            raise PromptError(f"{found.name!r} is locked; unlock it before it is changed")
        return found

    def _new(self, object: str | int, marks: Marks) -> Object:
        """A free label that is asked for is given, whoever had it before. Nobody asked for another object's old label,
        so it is not chosen here."""
        if isinstance(object, int) and not 1 <= object <= MAX_LABEL:
            raise PromptError(f"label {object} cannot be written; labels go from 1 to {MAX_LABEL}")
        label = object if isinstance(object, int) else self._next_label()
        name = self._free_name(f"object {label}") if isinstance(object, int) else object
        self._check_located(name, marks)
        self._labels_used.add(label)
        self._num_objects += 1
        return Object(label, name, marks, self._num_objects)

    def _check_located(self, name: str, marks: Marks) -> None:
        for frame, prompt in marks.frames.items():
            if prompt.mask is None and (prompt.labels == NEGATIVE).all():
                raise PromptError(
                    f"{name!r} has only negative points at {self._place}={frame}, which do not say where it is; "
                    "give a positive point or box there with them, or correct a frame on which a run has drawn it"
                )

    def _next_label(self) -> int:
        return next(n for n in range(1, len(self._labels_used) + 2) if n not in self._labels_used)

    def _free_name(self, name: str) -> str:
        """The name, with a count behind it where an object was named so by hand."""
        taken = {o.name for o in self.objects}
        return next(one for one in (name, *(f"{name} ({n})" for n in range(2, len(taken) + 3))) if one not in taken)
