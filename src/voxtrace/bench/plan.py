"""What is to be measured, as a value: cases, methods and ways of asking. It can be written down and repeated."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxtrace import checkpoints
from voxtrace.bench.asking import GIVEN, ONE_PROMPT, Way, parse_way
from voxtrace.bench.given import Predictions
from voxtrace.bench.methods import Method, Net
from voxtrace.bench.simple import SIMPLE
from voxtrace.bench.sources import cases_of, thinned
from voxtrace.bench.truths import OBJECTS_A_CASE
from voxtrace.bench.worst import MOST
from voxtrace.errors import CaseMissingError, CheckpointError, InputError, ModelError
from voxtrace.eval.bootstrap import SEED
from voxtrace.manifest import Case, select

TOLERANCE = 2.0
NO_SETTINGS = ("data", "predictions", "worst")


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation.

    data: a manifest, a folder of .npz, or with `predictions` one of reference masks. models: registered names, weights
    files, or names of `voxtrace.bench.simple`; the first is the one under test. prompts: see `voxtrace.bench.asking`.
    z_ranges: whether the z range of a volume's object is told; both may be asked for.
    predictions: a folder of masks made elsewhere, "" for none. most: cases of a set; None is all. objects: of a case.
    tolerance: of the NSD, mm in volumes and pixels elsewhere. image_size: where a weights file does not say.
    worst: cases of a model that are kept as pictures (see `voxtrace.bench.worst`); no row depends on it.
    """

    data: str
    models: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ("box",)
    z_ranges: tuple[bool, ...] = (False,)
    predictions: str = ""
    split: str | None = "val"
    kind: str | None = None
    sets: tuple[str, ...] = ()
    most: int | None = None
    objects: int = OBJECTS_A_CASE
    tolerance: float = TOLERANCE
    seed: int = SEED
    device: str = "auto"
    image_size: int | None = None
    worst: int = MOST

    def __post_init__(self) -> None:
        if bool(self.models) == bool(self.predictions):
            raise InputError("what shall be measured? Give models, or a folder of predictions, but not both")
        for number, name in ((self.most, "cases a set"), (self.objects, "objects a case")):
            if number is not None and number < 1:
                raise InputError(f"{number} {name} leave nothing to measure; at least 1")
        if self.worst < 0:
            raise InputError(f"{self.worst} worst cases cannot be kept; 0 keeps none")
        self.ways()
        if not self.tolerance > 0:
            raise InputError(f"a tolerance of {self.tolerance:g} mm makes no NSD; it must be above 0")

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Plan:
        """The plan that `asdict` and JSON made lists of."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**values)

    def settings(self) -> dict[str, Any]:
        """All that a row depends on, but for the place of the data: their hashes stand for them."""
        return {name: value for name, value in asdict(self).items() if name not in NO_SETTINGS}

    def cases(self) -> list[Case]:
        """The cases that are measured. Raises CaseMissingError if there are none."""
        found = cases_of(Path(self.data), references=bool(self.predictions))
        chosen = select(found, split=self.split, kind=self.kind, sets=self.sets or None)
        if not chosen:
            wanted = ", ".join(
                f"{name} {value}" for name, value in (("split", self.split), ("kind", self.kind)) if value
            )
            there = ", ".join(sorted({f"split {case.split}, {case.kind}" for case in found})) or "none"
            raise CaseMissingError(f"{self.data} has no case of {wanted or 'any kind'}; there are {there}")
        return thinned(chosen, self.most)

    def ways(self) -> list[Way]:
        """How objects are asked for. Raises PromptError for unknown names."""
        return [Way(GIVEN)] if self.predictions else [parse_way(text) for text in self.prompts]

    def methods(self) -> list[Method]:
        """What is measured; no weights are loaded yet. Raises ModelError for an unknown name, CheckpointError for
        weights that are not here."""
        if self.predictions:
            folder = Path(self.predictions)
            if not folder.is_dir():
                raise CaseMissingError(f"there is no folder of predictions at {folder}")
            return [Predictions(folder)]
        methods = [self._method(name) for name in self.models]
        names = [method.name for method in methods]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ModelError(f"two models are called {twice[0]}; results could not tell them apart: rename a file")
        return methods

    def _method(self, name: str) -> Method:
        if name in SIMPLE:
            return SIMPLE[name]
        try:
            checkpoints.resolve(name, self.image_size)
        except CheckpointError:
            raise
        except ModelError as error:
            raise ModelError(f"{error}. Methods without weights are {', '.join(SIMPLE)}") from None
        return Net(name, self.device, self.image_size)

    def asked(self, method: Method, case: Case) -> list[tuple[Way, bool]]:
        """The ways in which a method is asked about a case, without and with the z range; one prompt for a whole set
        is not among them. A picture's mask is never given: it would be the answer. A volume whose z range is not told
        is not given to a method that needs it."""
        if case.kind not in method.kinds:
            return []
        ranges = self.z_ranges if case.kind == "volume" and not self.predictions else (False,)
        if case.kind == "volume" and method.needs_range:
            ranges = tuple(told for told in ranges if told)
        ways = [way for way in self.ways() if way.kind != ONE_PROMPT and method.takes(way.kind)]
        return [(w, told) for w in ways if not (w.kind == "mask" and case.kind == "image") for told in ranges]

    def asked_of_sets(self, method: Method) -> list[Way]:
        """The ways in which this method is asked for one prompt a set: with which memories."""
        return [way for way in self.ways() if way.kind == ONE_PROMPT and method.takes(ONE_PROMPT)]
