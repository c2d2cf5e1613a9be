"""What every part of a report shares."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from voxtrace.report.palette import Palette


@dataclass(frozen=True, slots=True)
class Setting:
    """palette: the models' colours and signs. pictures: whether cases are shown. cases: where a challenge's cases are,
    None where they are not known."""

    palette: Palette = field(default_factory=Palette)
    pictures: bool = True
    cases: Path | None = None
