"""TensorBoard's log of a training, where the package tensorboard is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtrace.train.telling import Step

FOLDER = "tensorboard"
ABSENT = "TensorBoard's log is not written: pip install 'voxtrace[train]' (log.csv and report.html are)"


class Board:
    """Scalars by step, in the run's folder: tensorboard --logdir OUT. Resumed runs go on in the same curves."""

    def __init__(self, folder: Path) -> None:
        """Raises ImportError without tensorboard."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / FOLDER))

    def tell(self, step: Step) -> None:
        """Add one step; curves by clip length and way too."""
        add = self._writer.add_scalar
        if step.loss is not None:
            add("loss", step.loss, step.step)
            add(f"loss by clip/{step.way}, {step.length}", step.loss, step.step)
            for name, value in step.parts.items():
                add(name, value, step.step)
        add("rate", step.rate, step.step)
        add("gradient norm", step.norm, step.step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
