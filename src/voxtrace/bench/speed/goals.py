"""What is wanted of each row (issue 5), and whether it is so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """ratio: at least so many times as fast, or as small; of the encoder, the share of the rate. seconds: at most. iou:
    at least."""

    ratio: float | None = None
    seconds: float | None = None
    iou: float | None = None

    def reached(self, ratio: float | None, seconds: float, iou: float | None) -> bool:
        """Whether all of it holds."""
        return (
            (self.ratio is None or (ratio is not None and ratio >= self.ratio))
            and (self.seconds is None or seconds <= self.seconds)
            and (self.iou is None or (iou is not None and iou >= self.iou))
        )

    def __str__(self) -> str:
        wanted = []
        if self.ratio is not None:
            wanted.append(f"ratio >= {self.ratio:g}")
        if self.seconds is not None:
            wanted.append(f"seconds <= {self.seconds:g}")
        if self.iou is not None:
            wanted.append(f"iou >= {self.iou:g}")
        return ", ".join(wanted)


GOALS = {
    "volume": Goal(ratio=5, iou=0.99),
    "objects": Goal(ratio=5, iou=0.99),
    "objects, a pass each": Goal(ratio=9, iou=0.99),
    "small": Goal(ratio=20),
    "click": Goal(ratio=10),
    "encoder": Goal(ratio=0.4),
    "startup": Goal(seconds=1.0),
    "memory": Goal(ratio=2),
}
ROWS = ("volume", "objects", "small", "click", "encoder", "startup", "memory")
