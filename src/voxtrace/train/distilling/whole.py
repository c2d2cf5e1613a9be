"""A distillation from its first step to a weights file that describes itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from voxtrace.checkpoints.nets import to_json
from voxtrace.checkpoints.saving import save
from voxtrace.errors import InputError, OutputError
from voxtrace.model.sam2 import Sam2
from voxtrace.train.cases import LoadedCase
from voxtrace.train.distilling.described import card, licence
from voxtrace.train.distilling.embeddings import Embeddings
from voxtrace.train.distilling.features import FeatureLoss, Lesson, channels, missed
from voxtrace.train.distilling.inheriting import inherit
from voxtrace.train.distilling.masks import MaskLoss
from voxtrace.train.distilling.matching import Matching
from voxtrace.train.distilling.nets import Teacher, config_of, notes
from voxtrace.train.distilling.plan import Plan
from voxtrace.train.distilling.stages import Windows, carry_out, enough_memory
from voxtrace.train.loop import train
from voxtrace.train.recipe import Recipe
from voxtrace.train.samples import Options
from voxtrace.train.ship import data_sha256
from voxtrace.train.telling import Tell

HELD_OUT = 2  # batches on which the error is measured before and after
ORDER = "distil.json"


@dataclass(frozen=True, slots=True)
class Distilled:
    """What came of it. missed: the share of the teacher's embedding missed before and after stage 1, on windows that
    were not trained on. steps: by stage. taken, left: parts of the teacher that the student inherited, or not."""

    path: Path
    missed: tuple[float, float]
    steps: dict[str, int]
    taken: tuple[str, ...]
    left: tuple[str, ...]
    notes: tuple[str, ...] = ()


def distil(
    teacher: Teacher,
    student: nn.Module,
    cases: Sequence[LoadedCase],
    out: Path,
    plan: Plan,
    *,
    device: torch.device | None = None,
    cache_bytes: int = 0,
    tell: Tell | None = None,
) -> Distilled:
    """Distil `teacher` into `student` (in place) and write out/student.safetensors; goes on where a run was stopped.

    cache_bytes: so much of the teacher's embeddings is kept in out/embeddings. Raises OutputError where `out` holds
    another distillation, TrainingError where memory does not suffice.
    """
    device = device or torch.device("cpu")
    _same_order(out, teacher, student, plan)
    torch.manual_seed(plan.seed)
    inherited = inherit(student, teacher.net)
    teacher.net.to(device)
    student.to(device)
    options = samples(plan, teacher, student)
    windows = Windows(cases, options, plan, plan.features.frames)
    blank = torch.zeros(1, 3, options.size, options.size, device=device)
    with enough_memory(1):
        widths = channels(student, blank), channels(teacher.net, blank)
    lesson = Lesson(student, Matching(*widths, plan.fine, plan.loss)).to(device)
    kept = Embeddings(out / "embeddings", teacher.identity, cache_bytes) if cache_bytes else None
    loss = FeatureLoss(lesson, teacher, kept)
    with enough_memory(plan.features.frames):
        before = missed(loss, windows.held_out(HELD_OUT), device)
    steps = {"features": carry_out(lesson, plan.features, plan, windows, loss, out / "features", tell, "features").step}
    after = missed(loss, windows.held_out(HELD_OUT), device)
    pictures = Windows(cases, options, replace(plan, views=0), plan.masks.frames)
    steps["masks"] = carry_out(
        student, plan.masks, plan, pictures, MaskLoss(student, teacher, plan), out / "masks", tell, "masks"
    ).step
    if isinstance(student, Sam2) and not plan.clips.skipped:
        steps["clips"] = _clips(student, cases, options, plan, out / "clips", tell)
    made = Distilled(
        out / "student.safetensors",
        (before, after),
        steps,
        inherited.taken,
        inherited.left,
        tuple(notes(teacher.net, student)),
    )
    _write(made, teacher, student.cpu().eval(), cases, plan)
    return made


def samples(plan: Plan, teacher: Teacher, student: nn.Module) -> Options:
    """How windows are drawn: in the larger net's size; as the student is used, whole or around the object."""
    size = max(teacher.config.image_size, config_of(student).image_size)
    if plan.samples is not None:
        return replace(plan.samples, size=size)
    zoom = getattr(config_of(student), "zoom", None)
    if zoom is None:
        return Options(size=size, whole_frame=0.8)
    return Options(size=size, whole_frame=0.05, zoom=(zoom * 0.85, zoom * 1.15))


def _clips(
    student: Sam2, cases: Sequence[LoadedCase], options: Options, plan: Plan, out: Path, tell: Tell | None
) -> int:
    """Stage 3, the training loop: clips with memory, every kind of prompt. Leaves the average in the student."""
    stage, config = plan.clips, student.config
    recipe = Recipe(
        plan.name,
        config.name,
        image_size=config.image_size,
        steps=stage.steps,
        minutes=stage.minutes,
        frames=stage.frames,
        lengths=plan.lengths,
        rate=stage.rate,
        weight_decay=plan.weight_decay,
        warm_up=plan.warm_up,
        clip_norm=plan.clip_norm,
        average=plan.average,
        seed=plan.seed,
        workers=plan.workers,
        samples=options,
        prompts=plan.prompts,
        losses=plan.losses,
    )
    with enough_memory(stage.frames):
        file = train(recipe, cases, out, net=student, tell=tell)
    found = torch.load(file, weights_only=True, map_location="cpu")
    student.load_state_dict(found["average"])
    return int(found["step"])


def _same_order(out: Path, teacher: Teacher, student: nn.Module, plan: Plan) -> None:
    """Write down what is distilled into what, or raise OutputError if `out` was begun with something else."""
    order = {"teacher": teacher.identity, "student": to_json(config_of(student)), "seed": plan.seed, "loss": plan.loss}
    path = out / ORDER
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(order, indent=1), encoding="utf-8")
            return
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path} is damaged; remove it, or give another --out") from None
    other = [key for key, value in order.items() if found.get(key) != value]
    if other:
        raise OutputError(f"{out} holds a distillation with another {' and '.join(other)}; give another --out")


def _write(made: Distilled, teacher: Teacher, student: nn.Module, cases: Sequence[LoadedCase], plan: Plan) -> None:
    metadata = {
        "card": card(made, teacher, student, cases, plan),
        "licence": licence(teacher),
        "data_sha256": data_sha256(cases),
        "data_sets": json.dumps(sorted({case.set for case in cases})),
        "teacher": teacher.name,
        "teacher_sha256": teacher.sha256,
        "steps": json.dumps(made.steps),
    }
    save(made.path, student, config_of(student), metadata)
