"""A distillation, as numbers in a TOML file: recipes/distil-*.toml."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from voxtrace.errors import InputError
from voxtrace.train.augment import Strength
from voxtrace.train.clip import PromptMix
from voxtrace.train.losses import LossWeights
from voxtrace.train.samples import Options
from voxtrace.train.tables import lengths_of, made, read_table, table_of

Measure = Literal["mse", "smooth_l1"]
FAR = 1_000_000  # steps: the minutes end a stage unless a recipe says otherwise


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: it ends at `steps` or after `minutes` of training, the rate falling until then; none with 0 of either.

    frames: pictures a step. rate: AdamW's peak rate.
    """

    minutes: float
    rate: float
    frames: int = 8
    steps: int = FAR

    @property
    def skipped(self) -> bool:
        """Whether there is nothing to do."""
        return self.minutes <= 0 or self.steps <= 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides a distillation's outcome, apart from the data and the two nets.

    loss: of the embedding, as LiteMedSAM's (mse), or less moved by outliers. fine: the weight of the maps at strides 4
    and 8, where both nets hand them to their decoders.
    teacher_masks: the weight of the teacher's masks beside the true ones (cross-entropy towards its probabilities).
    views: so many windows are drawn and then shown again, so that kept embeddings are of use; 0: never the same twice.
    lengths: clip length -> chance, of the last stage (nets with a memory only).
    samples: how windows are drawn; None: as the student is used, the whole frame or a window of its own zoom.
    """

    name: str = "distil"
    loss: Measure = "mse"
    fine: float = 0.5
    teacher_masks: float = 1.0
    views: int = 4000
    weight_decay: float = 0.01
    warm_up: float = 0.03
    clip_norm: float = 1.0
    average: float = 0.998
    seed: int = 0
    workers: int = 1
    features: Stage = Stage(minutes=60.0, rate=5e-4)
    masks: Stage = Stage(minutes=20.0, rate=1e-4)
    clips: Stage = Stage(minutes=40.0, rate=1e-4)
    lengths: dict[int, float] = field(default_factory=lambda: {1: 0.3, 3: 0.3, 4: 0.4})
    samples: Options | None = None
    prompts: PromptMix = field(default_factory=PromptMix)
    losses: LossWeights = field(default_factory=LossWeights)

    def lasting(self, minutes: float) -> Plan:
        """The same in another time: every stage gets its share of `minutes`."""
        stages = {name: getattr(self, name) for name in STAGES}
        factor = minutes / sum(stage.minutes for stage in stages.values())
        return replace(self, **{n: replace(stage, minutes=stage.minutes * factor) for n, stage in stages.items()})


STAGES = ("features", "masks", "clips")


def read_plan(path: Path) -> Plan:
    """Read a TOML file. Raises InputError naming unknown keys and values that mean nothing."""
    table = read_table(path)
    if table.get("loss", "mse") not in get_args(Measure):
        raise InputError(f"{path}: loss {table['loss']!r} is unknown; one of {', '.join(get_args(Measure))}")
    for name in STAGES:
        if name in table:
            table[name] = made(Stage, table[name], f"{path} [{name}]", getattr(Plan(), name))
    if "samples" in table:
        drawn = dict(table_of(table["samples"], f"{path} [samples]"))
        strength = made(Strength, drawn.pop("strength", {}), f"{path} [samples.strength]")
        table["samples"] = made(Options, {**drawn, "strength": strength}, f"{path} [samples]")
    for name, kind in (("prompts", PromptMix), ("losses", LossWeights)):
        table[name] = made(kind, table.get(name, {}), f"{path} [{name}]")
    if "lengths" in table:
        table["lengths"] = lengths_of(table["lengths"], f"{path} [lengths]")
    plan: Plan = made(Plan, table, str(path))
    return plan
