"""`voxtrace distil`: a small net learns from a large one."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from voxtrace.cli import outputs
from voxtrace.cli.options import TellOptions
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.datasets import find_cases
from voxtrace.errors import InputError
from voxtrace.manifest import Case, select

if TYPE_CHECKING:
    from voxtrace.train.distilling import Distilled
    from voxtrace.train.distilling.plan import Plan
    from voxtrace.train.telling import Step


@dataclass(frozen=True)
class Distil:
    """Teach a small net what a large one sees: its embedding first, then masks, then clips with memory. Writes
    OUT/student.safetensors, with config, card and licence. A run that was stopped goes on with the same command."""

    teacher: Annotated[str, arg(metavar="NAME|FILE")]
    """The large net: a name of `voxtrace weights list`, or a weights file. It is not changed."""
    student: Annotated[str, arg(metavar="CONFIG|FILE")]
    """The small net: a net's name, as efficienttam_ti, edgetam, litemedsam or voxtrace-small, begins with random
    weights, as does a config file (.json); a weights file goes on from there."""
    data: Annotated[Path, arg(metavar="PLACE")]
    """Labelled cases: our manifest, or a folder laid out as nnU-Net raw, BIDS, image/mask pairs or challenge npz."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """The folder for the result, the state and the log. A run that was stopped goes on in it."""
    minutes: float | None = None
    """Time of all stages together; by default 120. The learning rate falls over it."""
    recipe: Annotated[Path | None, arg(metavar="FILE.toml")] = None
    """Stages, rates and losses; see recipes/distil-*.toml."""
    split: Annotated[str, arg(metavar="train|val|test|all")] = "train"
    """Which part of the data."""
    set: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Only these sets."""
    teacher_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    """Side in pixels of what the teacher sees, where its file does not say or less will do."""
    student_size: Annotated[int | None, arg(metavar="PIXELS")] = None
    """Side in pixels of what the student will see."""
    frames: Annotated[int | None, arg(metavar="N")] = None
    """Pictures a step, in every stage: fewer need less memory."""
    cache_gb: float = 4.0
    """Keep at most so much of the teacher's embeddings in OUT/embeddings; 0 keeps none."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Distil and tell what came of it."""
        outputs.check_folder(self.out)
        plan = self._plan()
        chosen = self._chosen()

        # torch takes seconds to import: mistakes above are told at once.
        from voxtrace.engines.torch import pick_device
        from voxtrace.train.cases import load_cases
        from voxtrace.train.distilling import distil
        from voxtrace.train.distilling.nets import notes, open_student, open_teacher

        device = pick_device(self.device)
        teacher = open_teacher(self.teacher, self.teacher_size)
        student = open_student(self.student, self.student_size, plan.seed)
        for one in [*([teacher.note] if teacher.note else []), *notes(teacher.net, student)]:
            note(f"note: {one}", self.telling.silent)
        cases = load_cases(chosen)
        quiet = self.telling.silent
        with progress(f"distilling {teacher.name}", quiet, "%") as advance:

            def tell(step: Step) -> None:
                advance(round(100 * step.progress), 100)
                if not quiet and not sys.stderr.isatty() and step.step % 100 == 0:
                    note(line(step))

            made = distil(
                teacher,
                student,
                cases,
                self.out,
                plan,
                device=device,
                cache_bytes=int(self.cache_gb * 1e9),
                tell=tell,
            )
        self._report(made)
        return 0

    def _plan(self) -> Plan:
        from voxtrace.train.distilling.plan import STAGES, Plan, read_plan

        plan = read_plan(self.recipe) if self.recipe else Plan()
        if self.minutes is not None:
            if not 0 < self.minutes < float("inf"):
                raise InputError(f"--minutes is {self.minutes:g}; a time above 0 is expected")
            plan = plan.lasting(self.minutes)
        if not 0 <= self.cache_gb < float("inf"):
            raise InputError(f"--cache-gb is {self.cache_gb:g}; 0 or more is expected, 0 keeps none")
        if self.frames is not None:
            if self.frames < 1:
                raise InputError(f"--frames is {self.frames}; at least 1 is expected")
            plan = replace(plan, **{name: replace(getattr(plan, name), frames=self.frames) for name in STAGES})
        return plan

    def _chosen(self) -> list[Case]:
        found = find_cases(self.data)
        for one in found.notes:
            note(f"note: {one}", self.telling.silent)
        split = None if self.split == "all" else self.split
        chosen = select(found.cases, split=split, sets=self.set or None)
        if not chosen:
            raise InputError(f"{self.data} has no case of split {self.split!r}; choose another --split, or all")
        return chosen

    def _report(self, made: Distilled) -> None:
        before, after = made.missed
        if self.telling.json:
            print_json(
                {
                    "student": str(made.path),
                    "missed_before": before,
                    "missed_after": after,
                    "steps": made.steps,
                    "taken": list(made.taken),
                    "left": list(made.left),
                    "notes": list(made.notes),
                }
            )
            return
        say(f"embedding  {after:.3f} of the teacher's is missed on windows not trained on; before {before:.3f}")
        say(f"steps      {', '.join(f'{name} {count}' for name, count in made.steps.items())}")
        say(f"inherited  {', '.join(made.taken) or 'nothing: no part of the teacher fits'}")
        say(f"written    {made.path}")


def line(step: Step) -> str:
    """One step, for a log."""
    parts = "  ".join(f"{name} {value:.3f}" for name, value in step.parts.items())
    loss = "-" if step.loss is None else f"{step.loss:.4f}"
    return f"{step.way:8} step {step.step}  loss {loss}  {parts}  {step.seconds:.0f} s"
