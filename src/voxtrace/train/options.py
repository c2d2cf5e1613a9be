"""What training clips are drawn from, and how they are framed, as numbers: a recipe's [samples]."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from voxtrace.errors import InputError
from voxtrace.train.augment import Strength

Balance = Literal["set", "modality"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is drawn and how it is framed. Raises InputError for what cannot be drawn so.

    images, volumes, synthetic: shares of clips of real pictures, of real volumes and videos, and of made-up cases.
    images_moved: the first among clips of several frames, if it is another: a picture can only be moved about there.
    zoom: the window's side as a multiple of the box's larger side, drawn uniformly; whole_frame: share of clips that
    show the whole frame, squashed to a square; box_jitter: how far a person's box is off, as a share of its size.
    ends: share of volume clips started so that they run past the object's end, where the scan allows it.
    still: share of made-up movements from pictures that neither fade out nor leave the window.
    loose: share of batches as a click alone finds them, which does not tell how large the object is: windows of
    loose_zoom times the object, drawn evenly in the logarithm, loose_jitter of its size off.
    sets: share of batches of several frames that are sets: the object lies elsewhere on each picture.
    objects: followed in one clip, at most: further ones are drawn from what shows in the first one's window.
    appears: share of clips of volumes and videos that begin before the object does: it appears on a later frame.
    balance: sets are drawn by the square root of their size times set_weights; "modality": of pictures, and of volumes
    and videos, each modality is drawn as often as any other, its sets within it so.
    """

    size: int = 256
    images: float = 0.55
    images_moved: float | None = None
    volumes: float = 0.30
    synthetic: float = 0.15
    zoom: tuple[float, float] = (1.6, 3.0)
    whole_frame: float = 0.25
    box_jitter: float = 0.10
    ends: float = 0.65
    still: float = 0.5
    other_axes: float = 0.3
    part: float = 0.7
    union: float = 0.15
    loose: float = 0.0
    loose_zoom: tuple[float, float] = (0.7, 7.0)
    loose_jitter: float = 0.3
    sets: float = 0.0
    objects: int = 1
    appears: float = 0.0
    strength: Strength = field(default_factory=Strength)
    balance: Balance = "set"
    set_weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.balance not in get_args(Balance):
            raise InputError(f"balance {self.balance!r} is unknown; one of {', '.join(get_args(Balance))}")
        if self.objects < 1:
            raise InputError(f"objects is {self.objects}; a clip follows at least 1")
