"""The card of a distilled net: what it learned from, how far it came, under which licence it may be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from voxtrace.train.cases import LoadedCase
from voxtrace.train.distilling.nets import Teacher, config_of, weights
from voxtrace.train.distilling.plan import Plan

if TYPE_CHECKING:
    from voxtrace.train.distilling.whole import Distilled


def licence(teacher: Teacher) -> str:
    """A student learned from its teacher's answers: it is treated as derived from it."""
    return teacher.licence or f"unknown: as its teacher's, {teacher.name}"


def card(made: Distilled, teacher: Teacher, student: nn.Module, cases: Sequence[LoadedCase], plan: Plan) -> str:
    """Markdown."""
    config = config_of(student)
    sets = Counter((case.set, case.modality) for case in cases)
    lines = [
        f"# {config.name}, distilled from {teacher.name}",
        "",
        f"- Net: {config.name}, {weights(student) / 1e6:.2f} M weights, frames at {config.image_size} px.",
        f"- Teacher: {teacher.name}, {weights(teacher.net) / 1e6:.2f} M weights, frames at {teacher.config.image_size} "
        f"px, sha256 {teacher.sha256}.",
        f"- Licence: {licence(teacher)}. It is the teacher's; that of the data below comes besides.",
        f"- Stages: {', '.join(f'{name} {count} steps' for name, count in made.steps.items())}; loss {plan.loss}, "
        f"teacher's masks x {plan.teacher_masks:g}.",
        f"- Share of the teacher's embedding missed after the first stage, on windows not trained on: "
        f"{made.missed[1]:.3f} (before: {made.missed[0]:.3f}; 1 is what each channel's mean would reach).",
        f"- Taken over from the teacher: {', '.join(made.taken) or 'nothing'}.",
        *(f"- Note: {one}." for one in made.notes),
        "",
        f"## Data: {len(cases)} cases",
        "",
        *(f"- {name} ({modality}): {count}" for (name, modality), count in sorted(sets.items())),
        "",
        "Not measured on any validation set here: run `voxtrace evaluate` before it is used.",
        "",
    ]
    return "\n".join(lines)
