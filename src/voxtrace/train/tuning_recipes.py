"""What a fine-tuning does by default, by the kind of net. The person chooses the time; the rest is here."""

from __future__ import annotations

from dataclasses import replace

from voxtrace.model.config import Sam2Config
from voxtrace.train.adapting import Way
from voxtrace.train.augment import Strength
from voxtrace.train.clip import PromptMix
from voxtrace.train.losses import LossWeights
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Options

ENDLESS = 1_000_000  # steps; time ends a fine-tuning
LARGE = 256  # pixels a side from which a trunk's maps are computed twice rather than kept
ZOOM_SPREAD = 0.14  # the window of a person's box is that much larger or smaller from one to the next
SMALL_RATES: dict[Way, float] = {"lora": 1e-3, "decoder": 4e-4, "full": 4e-4}
# Full: as MedSAM2 was made from SAM 2.1 tiny (5e-5, the encoder 3e-5 and less from block to block). Adapters begin at
# nothing and take a larger rate (Hu et al. 2021).
SAM2_RATES: dict[Way, float] = {"lora": 3e-4, "decoder": 1e-4, "full": 5e-5}
ENCODER_SHARE, LAYER_DECAY = 0.6, 0.9

# As recipes/voxtrace-small.toml, but for a lower rate, longer clips (an object is followed from end to end), more
# boxes, one kind of scan, and the person's own objects as they are. Adapters, which Muon was not tried on, are AdamW's.
SMALL = Recipe(
    "fine-tuning of voxtrace-small",
    "voxtrace-small",
    frames=8,
    lengths={1: 0.2, 4: 0.3, 8: 0.5},
    weight_decay=0.02,
    average=0.99,
    muon=160,
    muon_rate=2.5,
    samples=Options(
        images=0.5,
        volumes=0.5,
        synthetic=0.0,
        whole_frame=0.05,
        box_jitter=0.04,
        ends=0.55,
        still=0.75,
        other_axes=0.1,
        part=0.1,
        union=0.1,
        strength=Strength(turn=0.25, bend=0.15, invert=0.0, tone=0.5, noise=0.2, blur=0.1, colour=0.0),
    ),
    prompts=PromptMix(
        box=0.65,
        box_and_clicks=0.05,
        clicks=0.05,
        mask=0.2,
        disturbed=0.85,
        correction=0.08,
        box_jitter=0.04,
        hint=0.95,
    ),
    losses=LossWeights(
        focal=0.0, cross_entropy=3.0, dice=1.0, dice_followed=0.4, iou=0.3, object_score=0.6, absent=1.0
    ),
)
# MedSAM2's (facts: losses 20, 1, 1, 1; decay 0.1; prompts a box or a click, half of them corrected).
SAM2 = Recipe(
    "fine-tuning of a SAM 2 net",
    "sam2.1_hiera_tiny",
    frames=4,
    lengths={1: 0.3, 4: 0.7},
    weight_decay=0.1,
    clip_norm=0.1,
    average=0.99,
    samples=replace(SMALL.samples, whole_frame=1.0),
    prompts=PromptMix(box=0.5, box_and_clicks=0.05, clicks=0.1, mask=0.25, correction=0.1, box_jitter=0.05),
    losses=LossWeights(),
)


def default_way(config: Sam2Config) -> Way:
    """All of a small net; adapters for those whose optimiser alone would need gigabytes."""
    return "full" if config.hinted else "lora"


def recipe_for(
    config: Sam2Config,
    way: Way,
    minutes: float,
    *,
    rate: float | None = None,
    frames: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    workers: int = 1,
    pictures: bool = False,
) -> Recipe:
    """The recipe for a net. Its windows are those it is used with: around the object where it has a zoom, else whole
    frames. None takes the default. pictures: there are no other cases, so that nothing is ever followed."""
    recipe = SMALL if config.hinted else SAM2
    rates = SMALL_RATES if config.hinted else SAM2_RATES
    frames = frames or recipe.frames
    samples = replace(recipe.samples, size=config.image_size)
    if config.zoom:
        near, far = config.zoom * (1 - ZOOM_SPREAD), config.zoom * (1 + ZOOM_SPREAD)
        samples = replace(samples, zoom=(near, far), whole_frame=SMALL.samples.whole_frame)
    rate = rate or rates[way]
    if way == "full" and not config.hinted:
        recipe = replace(recipe, encoder_rate=ENCODER_SHARE * rate, layer_decay=LAYER_DECAY, floor=0.1)
    return replace(
        recipe,
        model=config.name,
        image_size=config.image_size,
        steps=steps or ENDLESS,
        minutes=minutes,
        rate=rate,
        muon=0 if way == "lora" else recipe.muon,
        frames=frames,
        lengths={1: 1.0} if pictures else _within(recipe.lengths, frames),
        seed=seed,
        workers=workers,
        checkpointing=config.image_size > LARGE,
        samples=samples,
    )


def _within(lengths: dict[int, float], frames: int) -> dict[int, float]:
    """No clip longer than a step's frames, which are what a person sets where memory is short."""
    short: dict[int, float] = {}
    for length, chance in lengths.items():
        short[min(length, frames)] = short.get(min(length, frames), 0.0) + chance
    return short
