"""A training, as numbers in a TOML file: recipes/*.toml."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args

from voxtrace.checkpoints.nets import resized
from voxtrace.errors import InputError, ModelError
from voxtrace.model.config import CONFIGS
from voxtrace.train.augment import Strength
from voxtrace.train.clip import PromptMix
from voxtrace.train.losses import LossWeights
from voxtrace.train.samples import Options
from voxtrace.train.tables import lengths_of, made, read_table, table_of

Stage = Literal["refiner", "net"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training's outcome, apart from the data.

    stage: "refiner" teaches the refiner by itself, "net" all of it.
    image_size: side in pixels; a net may be trained small first and large later.
    start: an earlier run's state, or a weights file that was shipped, to go on from.
    frames: frames a step; a step with clips of length T takes frames / T of them.
    lengths: clip length -> chance. minutes: training time over which the rate falls; the run ends there or at `steps`.
    A run that `steps` end is repeatable to the bit on one machine; one that `minutes` end depends on the clock.
    encoder_rate: of trunk and neck, if it is another than `rate`; layer_decay: factor from each block of the trunk to
    the one before it. floor: of the cosine, as a share of the peak rate. beta2: AdamW's.
    muon: layers with at most so many outputs or inputs, the fewer of them, are stepped by Muon; 0 for AdamW alone.
    muon_rate: Muon's rate, as a multiple of `rate`.
    parts: a step's clips are gone through in so many parts, one after the other, or on as many processes at once.
    checkpointing: the trunk's activations are computed twice and not kept. pictures: minutes between sheets of what the
    net draws; 0 for none. ships: weights that are given away, so only cases with may_train_shipped_weights.
    without: cases never seen, by id, such as another scan of a person who is held out.
    """

    name: str
    model: str
    stage: Stage = "net"
    image_size: int = 256
    steps: int = 100_000
    minutes: float = 60.0
    frames: int = 16
    lengths: dict[int, float] = field(default_factory=lambda: {1: 1.0})
    rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: float = 0.03
    clip_norm: float = 1.0
    average: float = 0.998
    seed: int = 0
    workers: int = 1
    start: str = ""
    encoder_rate: float | None = None
    layer_decay: float = 1.0
    floor: float = 0.01
    beta2: float = 0.98
    muon: int = 0
    muon_rate: float = 1.0
    parts: int = 1
    checkpointing: bool = False
    pictures: float = 10.0
    ships: bool = False
    without: list[str] = field(default_factory=list)
    samples: Options = field(default_factory=Options)
    prompts: PromptMix = field(default_factory=PromptMix)
    losses: LossWeights = field(default_factory=LossWeights)


def read_recipe(path: Path) -> Recipe:
    """Read a TOML file. Raises InputError naming unknown and missing keys, values of a wrong type, an unknown model or
    stage."""
    table = read_table(path)
    lengths = lengths_of(table.pop("lengths", {1: 1.0}), f"{path} [lengths]")
    drawn = {"size": table.get("image_size", 256), **table_of(table.pop("samples", {}), f"{path} [samples]")}
    strength = made(Strength, drawn.pop("strength", {}), f"{path} [samples.strength]")
    samples = made(Options, {**drawn, "strength": strength}, f"{path} [samples]")
    prompts = made(PromptMix, table.pop("prompts", {}), f"{path} [prompts]")
    losses = made(LossWeights, table.pop("losses", {}), f"{path} [losses]")
    for key, choices in (("model", tuple(CONFIGS)), ("stage", get_args(Stage))):
        if key in table and table[key] not in choices:
            raise InputError(f"{path}: {key} {table[key]!r} is unknown; one of {', '.join(choices)}")
    recipe: Recipe = made(
        Recipe, {**table, "lengths": lengths, "samples": samples, "prompts": prompts, "losses": losses}, str(path)
    )
    _check(recipe, path)
    return recipe


def _check(recipe: Recipe, path: Path) -> None:
    """Numbers that would only fail, or teach nothing, hours later."""
    for key in ("image_size", "steps", "minutes", "frames", "rate", "parts", "clip_norm", "muon_rate"):
        if getattr(recipe, key) <= 0:
            raise InputError(f"{path}: {key} is {getattr(recipe, key)}; it must be above 0")
    for key in ("workers", "seed", "pictures", "weight_decay", "muon"):
        if getattr(recipe, key) < 0:
            raise InputError(f"{path}: {key} is {getattr(recipe, key)}; it must be 0 or more")
    for key, low, high in (("warm_up", 0, 0.99), ("average", 0, 0.999999), ("layer_decay", 0.01, 1), ("floor", 0, 1)):
        if not low <= getattr(recipe, key) <= high:
            raise InputError(f"{path}: {key} is {getattr(recipe, key)}; it must lie between {low} and {high}")
    for part, table in (("samples", recipe.samples), ("prompts", recipe.prompts), ("losses", recipe.losses)):
        below = [f.name for f in fields(table) if isinstance(v := getattr(table, f.name), int | float) and v < 0]
        if below:
            raise InputError(f"{path} [{part}]: {below[0]} is {getattr(table, below[0])}; it must be 0 or more")
    try:
        resized(CONFIGS[recipe.model], recipe.image_size)
    except ModelError as error:
        raise InputError(f"{path}: {error}") from None
