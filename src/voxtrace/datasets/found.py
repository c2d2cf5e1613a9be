"""What is asked of a folder of labelled cases, and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxtrace.manifest import Case

CHOOSE = "voxtrace data index DIR"  # the command that has an option for what a layout leaves open
LabelType = Literal["semantic", "instance"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a layout leaves open.

    layout: its name, or "auto". channel: of several images a case, the number or name of one (nnU-Net: 0 or "T1w";
    BIDS: the suffix). fold: of splits_final.json. mask: of several masks a case, a part of the name of one.
    set: the data set's name; None takes the folder's. modality: None takes what the names say. label_type: whether a
    label is a class or one object; None takes what the layout says, else classes.
    patient: a regular expression on a case's name; its first group is the patient. None: names are looked at.
    val: share of the patients that go to split "val" where the source has no split. seed: which ones.
    """

    layout: str = "auto"
    channel: str | None = None
    fold: int = 0
    mask: str | None = None
    set: str | None = None
    modality: str | None = None
    label_type: LabelType | None = None
    patient: str | None = None
    val: float = 0.2
    seed: int = 0
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The cases of a folder, the layout they lie in, and what a person should know of how they were read.

    split: whether the source said which cases are for validation; where it did not, `find_cases` splits by patient.
    """

    cases: list[Case]
    layout: str
    notes: list[str]
    split: bool = False

    @property
    def kind(self) -> str:
        """The layout's name."""
        return self.layout


@dataclass(frozen=True, slots=True)
class Draft:
    """A case as a layout knows it; what the layouts share (set, root, types) is added by `drafting.finished`."""

    name: str
    image: Path
    mask: Path
    split: str | None = None
    patient: str | None = None
    kind: str | None = None
    modality: str | None = None
    set: str | None = None
    label_type: LabelType | None = None
    coding: str | None = None
