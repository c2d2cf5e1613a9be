"""Options that several commands share: the marks, the model, how the scan is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import UseAppendAction, arg

from voxtrace import engines
from voxtrace.cli.caching import CacheOptions
from voxtrace.engine import Engine
from voxtrace.engines.choosing import EngineName, Precision
from voxtrace.errors import CheckpointError, ModelError, PromptError
from voxtrace.io import read_mask
from voxtrace.mapped import slabs
from voxtrace.memory import Fifo, MemoryPolicy, SelfSorting
from voxtrace.prompt_text import ObjectPrompts, parse_box, parse_box3d, parse_point, parse_recist, read_prompts
from voxtrace.prompts import MaskPrompt, Prompt, Scribble, on_frames
from voxtrace.volume import Picture, Video, Volume

Scan = Volume | Picture | Video
MANY = UseAppendAction[tuple[str, ...]]
MEMORIES: dict[str, Callable[[], MemoryPolicy]] = {
    "fifo": Fifo,
    "selfsorting": SelfSorting,
    "selfsorting:paper": lambda: SelfSorting(rule="paper"),
    "selfsorting:released": lambda: SelfSorting(rule="released"),
}


def titled(options: type) -> dict[str, str]:
    """The metadata of a command's field that is options itself: their docstring is its title. Without it tyro reads the
    command's source first."""
    return {"help": " ".join((options.__doc__ or "").split())}


@dataclass(frozen=True)
class MarkOptions:
    """What marks the object. All flags together mean one object; a prompts file may hold several."""

    box: Annotated[MANY, arg(metavar="Z:Y0,X0,Y1,X1")] = ()
    """A box on slice (or video frame) Z, half-open. Pictures: Y0,X0,Y1,X1. With --axis 1 or 2 the first number counts
    along that axis and the others are the two that remain."""
    box3d: Annotated[MANY, arg(metavar="Z0,Y0,X0,Z1,Y1,X1")] = ()
    """A 3D box, half-open; the object is not looked for outside its slices."""
    point: Annotated[MANY, arg(metavar="Z,Y,X[:-]")] = ()
    """A click on the object; with :- on what is not the object. Pictures: Y,X[:-]."""
    recist: Annotated[MANY, arg(metavar="Z:Y0,X0,Y1,X1")] = ()
    """The two ends of a lesion's longest diameter on slice Z."""
    scribble: Annotated[MANY, arg(metavar="FILE[:-]")] = ()
    """A mask file of painted voxels inside the object; with :- outside it."""
    mask: Annotated[MANY, arg(metavar="FILE")] = ()
    """A mask of the object on some slices, on the scan's voxels."""
    prompts: Annotated[Path | None, arg(metavar="FILE.json")] = None
    """A prompts file: several objects with names and any kinds of marks (docs/prompts.md)."""

    def files(self) -> list[Path]:
        """The files that are read: they must not be overwritten."""
        named = [Path(_signed(text)[0]) for text in (*self.scribble, *self.mask)]
        return named + ([self.prompts] if self.prompts else [])

    def require(self) -> None:
        """Raise PromptError if nothing is marked."""
        flags = (self.box, self.box3d, self.point, self.recist, self.scribble, self.mask)
        if not any(flags) and self.prompts is None:
            raise PromptError(
                "nothing is marked; say where the object is, for example with --box Z:Y0,X0,Y1,X1 (--help)"
            )
        if any(flags) and self.prompts is not None:
            raise PromptError(f"--prompts {self.prompts} and single marks together; put all marks into the file")

    def objects(self, scan: Scan, axis: int = 0) -> list[ObjectPrompts]:
        """The objects as marked on this scan, each checked to fit it. Raises PromptError."""
        self.require()
        flat = isinstance(scan, Picture)
        if self.prompts is not None:
            return check_fit(read_objects(self.prompts, scan), scan, axis, f"{self.prompts}: ")
        objects = [ObjectPrompts(tuple(self._flags(scan, flat, axis)))]
        return check_fit(objects, scan, axis)

    def _flags(self, scan: Scan, flat: bool, axis: int) -> list[Prompt]:
        prompts: list[Prompt] = [parse_box(text, flat, axis) for text in self.box]
        prompts += [parse_box3d(text, flat) for text in self.box3d]
        prompts += [parse_point(text, flat) for text in self.point]
        prompts += [parse_recist(text, flat) for text in self.recist]
        for text in self.scribble:
            file, positive = _signed(text)
            painted = read_mask(file, like=scan)
            scribble = Scribble.from_mask(painted, positive)
            if not len(scribble.voxels_zyx):
                raise PromptError(f"--scribble {file}: the file is empty, no voxel is above 0")
            prompts.append(scribble)
        for text in self.mask:
            mask = read_mask(text, like=scan)
            if not any(part.any() for _, part in slabs(mask)):
                raise PromptError(f"--mask {text}: the file is empty, no voxel is above 0")
            prompts.append(MaskPrompt(mask))
        return prompts


def read_objects(file: Path, scan: Scan) -> list[ObjectPrompts]:
    """The objects of a prompts file that belongs to `scan`."""
    to_voxel = scan.to_voxel if isinstance(scan, Volume) else None

    def mask_of(path: Path) -> np.ndarray:
        return read_mask(path, like=scan)

    return read_prompts(file, mask_of, to_voxel, flat=isinstance(scan, Picture))


def check_fit(objects: list[ObjectPrompts], scan: Scan, axis: int, file: str = "") -> list[ObjectPrompts]:
    """The same objects, if every mark lies in the scan. Raises PromptError; with `file` it names the place in there."""
    shape = (1, *scan.shape) if isinstance(scan, Picture) else scan.shape
    for number, one in enumerate(objects):
        for index, prompt in enumerate(one.prompts):
            try:
                on_frames([prompt], shape, axis)
            except PromptError as error:
                where = f"{file}objects[{number}].prompts[{index}]: " if file else ""
                raise PromptError(f"{where}{error}") from None
    return objects


def _signed(text: str) -> tuple[str, bool]:
    """FILE or FILE:- -> the file, and whether it marks the object itself."""
    return (text[:-2], False) if text.endswith(":-") else (text, True)


@dataclass(frozen=True)
class ModelOptions:
    """The model and how it is used."""

    model: str = engines.DEFAULT_MODEL
    """A name of `voxtrace weights list`, a weights file, or a folder written by `voxtrace export`."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    engine: EngineName = "auto"
    """What runs the net; auto: torch on a GPU, else OpenVINO where there are graphs (`voxtrace doctor` says why)."""
    precision: Precision = "auto"
    """auto: bf16 where the processor or the GPU has a unit for it, else fp32."""
    image_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    """Side in pixels to which frames are scaled for the net, where the weights file does not say."""
    memory: Annotated[str | None, arg(metavar="fifo|selfsorting[:paper|released]")] = None
    """What is remembered: fifo (the newest frames, SAM 2) or selfsorting (the most different ones, Medical SAM 2).
    By default fifo, for oneprompt selfsorting."""
    zoom: Annotated[str, arg(metavar="auto|off|FACTOR")] = "auto"
    """Side of the part of the frame that the net is shown, as a multiple of the object's; off: the whole frame."""
    overlap: Literal["settle", "keep"] = "settle"
    """Where objects overlap: settle gives a voxel to the surer one; keep writes one file an object."""

    def policy(self) -> MemoryPolicy | None:
        """The memory policy; None for the command's own. Raises ModelError for an unknown one."""
        if self.memory is None:
            return None
        if self.memory.lower() not in MEMORIES:
            raise ModelError(f"--memory {self.memory} is unknown; one of {', '.join(MEMORIES)}")
        return MEMORIES[self.memory.lower()]()

    def zoom_factor(self) -> float | Literal["auto"] | None:
        """As sessions take it. Raises ModelError for anything but auto, off or a number of at least 1."""
        if self.zoom == "auto":
            return "auto"
        if self.zoom == "off":
            return None
        try:
            factor = float(self.zoom)
        except ValueError:
            factor = 0.0
        if not 1 <= factor < float("inf"):
            raise ModelError(f"--zoom {self.zoom}: write auto, off, or a number of at least 1, for example 3")
        return factor

    def check(self) -> None:
        """Raise ModelError for options that mean nothing."""
        self.policy()
        self.zoom_factor()
        with suppress(CheckpointError):  # a file that is missing or damaged is told when it is opened
            engines.find_model(self.model)
        if self.image_size is not None and self.image_size < 32:
            raise ModelError(f"--image-size {self.image_size}: at least 32 pixels are needed")


class LazyEngine:
    """The engine, opened when first asked for: after all that can be checked without it. caching: None for none."""

    def __init__(self, options: ModelOptions, caching: CacheOptions | None = None) -> None:
        self.options = options
        self.caching = caching or CacheOptions(no_cache=True)

    @cached_property
    def engine(self) -> Engine:
        """Load the model; what has to be guessed about it comes as a warning."""
        options = self.options
        return engines.open_engine(options.model, options.device, options.image_size, options.engine, options.precision)

    @property
    def runs_on(self) -> str | None:
        """What runs it, in which version and precision; None where the engine does not tell."""
        return getattr(self.engine, "runs_on", None)


@dataclass(frozen=True)
class ReadOptions:
    """How the scan is read."""

    window: Annotated[str | None, arg(metavar="NAME|LEVEL/WIDTH|pLOW-HIGH")] = None
    """Grey window: lung, bone, brain, soft-tissue, ..., LEVEL/WIDTH as 40/400, percentiles as p1-99, full.
    By default chosen from modality and values."""
    modality: Annotated[str | None, arg(metavar="CT|MR|PT|US|...")] = None
    """CT, MR, PT, US, ... where the file does not say."""
    axis: Literal[0, 1, 2] = 0
    """Along which axis a volume is walked: 0 z, 1 y, 2 x."""


@dataclass(frozen=True)
class TellOptions:
    """What is told."""

    json: bool = False
    """Print one JSON object."""
    quiet: bool = False
    """No progress bar and no notes."""

    @property
    def silent(self) -> bool:
        """Whether nothing but results and warnings is told: progress beside JSON would only disturb."""
        return self.quiet or self.json


@dataclass(frozen=True)
class WriteOptions(TellOptions):
    """What may be replaced, and what is told."""

    overwrite: bool = False
    """Replace outputs that are there already, in a batch what is done already; never an input."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """What the commands share that find a marked object."""

    marks: MarkOptions = field(default_factory=MarkOptions, metadata=titled(MarkOptions))
    using: ModelOptions = field(default_factory=ModelOptions, metadata=titled(ModelOptions))
    caching: CacheOptions = field(default_factory=CacheOptions, metadata=titled(CacheOptions))
    writing: WriteOptions = field(default_factory=WriteOptions, metadata=titled(WriteOptions))

    def check(self) -> None:
        """Raise PromptError if nothing is marked, ModelError for options that mean nothing."""
        self.marks.require()
        self.using.check()
        self.caching.check()
