"""What a training says of each of its steps, to whoever listens: a log, a progress bar, a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was taken.

    step: counted from 1, over all resumed runs; progress: 0..1 of the recipe's steps or minutes, whichever is nearer.
    loss: None where no frame of the clips taught anything. parts: means over the frames by name ("dice", "present").
    seconds: of training so far, over all resumed runs. rate: the peak group's learning rate. norm: of the gradient
    before it was clipped. length: frames of a clip; way: as in samples.Batch; sets: one name a clip.
    """

    step: int
    progress: float
    loss: float | None
    parts: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    rate: float = 0.0
    norm: float = 0.0
    length: int = 1
    way: str = "clip"
    sets: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


Tell = Callable[[Step], None]
