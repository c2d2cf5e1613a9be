"""`voxtrace finetune`: a model taught on one's own cases, measured before and after, called better only if it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from voxtrace import engines
from voxtrace.cli import outputs
from voxtrace.cli.options import TellOptions
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from voxtrace.train.lora import LowRank

NOT_BETTER = 4
Way = Literal["lora", "decoder", "full"]


@dataclass(frozen=True)
class Finetune:
    """Teach a model on your own cases. Held-out patients are measured before and after with the same prompts; the
    result is called better only if the 95 % interval of the difference says so. Writes a weights file that any command
    takes with --model FILE, its card beside it, and a folder with the frozen validation cases, the log and all
    measurements. A run that was stopped goes on. Exit code 4 if the result is not better: it is kept, and named so."""

    data: Annotated[tuple[Path, ...], arg(metavar="PLACE [PLACE ...]")]
    """Labelled cases: our manifest, or a folder laid out as nnU-Net raw, BIDS, image/mask pairs or challenge npz."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE.safetensors|DIR")]
    """The weights file, or a folder for it."""
    model: Annotated[str, arg(metavar="NAME|FILE")] = engines.DEFAULT_MODEL
    """A name of `voxtrace weights list`, or a weights file of the SAM 2 family."""
    lora: bool = False
    """Teach low-rank adapters, merged in the end. The default for nets other than voxtrace-small: least memory."""
    decoder_only: bool = False
    """Teach what draws masks alone (of voxtrace-small, its refiner too): fastest on large nets."""
    full: bool = False
    """Teach all weights. The default for voxtrace-small."""
    rank: Annotated[int, arg(metavar="N")] = 8
    """Of --lora's adapters."""
    alpha: float | None = None
    """--lora's change is scaled by alpha / rank; by default twice the rank."""
    minutes: float = 30.0
    """Time for training; measuring comes on top."""
    steps: Annotated[int | None, arg(metavar="N")] = None
    """End after so many steps, if that comes sooner."""
    frames: Annotated[int | None, arg(metavar="N")] = None
    """Frames a step: fewer need less memory."""
    rate: float | None = None
    """Peak learning rate, where the default does not suit."""
    sets: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Only these sets of the data."""
    cases: Annotated[int | None, arg(metavar="N")] = None
    """Train on at most so many cases of each set, an even choice."""
    val: Annotated[tuple[Path, ...], arg(metavar="PLACE [PLACE ...]")] = ()
    """Cases to be held out, where they lie elsewhere. By default the data's own split, else 20 % of the patients."""
    against: Annotated[tuple[str, ...], arg(metavar="SET [SET ...]")] = ()
    """Also measure these other sets of the data, on their validation cases: the result must not be worse on them."""
    prompt: Annotated[str, arg(metavar="PROMPT")] = "box"
    """How objects are marked when it is measured, as in `voxtrace evaluate`."""
    objects: Annotated[int, arg(metavar="N")] = 12
    """Measure at most so many objects of a case."""
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    """Side in pixels to which frames are scaled for the net; by default what it was trained at."""
    workers: Annotated[int, arg(metavar="N")] = 1
    """Processes that make clips ahead; 0 makes them in between."""
    seed: int = 0
    """Of everything drawn by chance."""
    telling: TellOptions = field(default_factory=TellOptions)

    def way(self) -> Way | None:
        """What is taught; None leaves it to the net. Raises InputError for two ways at once."""
        flags: dict[Way, bool] = {"lora": self.lora, "decoder": self.decoder_only, "full": self.full}
        asked = [way for way, on in flags.items() if on]
        if len(asked) > 1:
            raise InputError("--lora, --decoder-only and --full exclude one another; give one of them, or none")
        return asked[0] if asked else None

    def low_rank(self) -> LowRank:
        """The adapters of --lora. Raises ModelError for numbers that make none."""
        from voxtrace.train.lora import LowRank

        return LowRank(self.rank, 2.0 * self.rank if self.alpha is None else self.alpha)

    def run(self) -> int:
        """Train, measure, judge, save; returns 0, or 4 if the result is not better."""
        self._check()
        try:
            import torch  # noqa: F401
        except ImportError:
            raise MissingDependencyError("torch", "torch", "fine-tuning") from None
        from voxtrace.cli.tuning import tune

        with progress("training", self.telling.silent, "%") as advance:
            outcome = tune(self, advance, lambda text: note(text, self.telling.silent), sys.argv[1:])
        if self.telling.json:
            print_json(outcome.plain())
        else:
            for line in outcome.lines():
                say(line)
        return 0 if outcome.better else NOT_BETTER

    def _check(self) -> None:
        self.way()
        for number, what in (
            (self.minutes, "--minutes"),
            (self.rate, "--rate"),
            (self.frames, "--frames"),
            (self.steps, "--steps"),
        ):
            if number is not None and not number > 0:
                raise InputError(f"{what} {number:g} trains nothing; it must be above 0")
            if number == float("inf"):
                raise InputError(f"{what} {number:g} has no end; give a number")
        if self.cases is not None and self.cases < 1:
            raise InputError(f"--cases {self.cases} leaves nothing to learn from; at least 1")
        if self.objects < 1:
            raise InputError(f"--objects {self.objects} leaves nothing to measure; at least 1")
        if self.workers < 0:
            raise InputError(f"--workers {self.workers}: 0 or more processes")
        if set(self.against) & set(self.sets):
            raise InputError("--against names a set that is trained on; it must be another one")
        for place in (*self.data, *self.val):
            outputs.check_input(place, "data")
