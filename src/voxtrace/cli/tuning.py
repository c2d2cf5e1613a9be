"""The course of a fine-tuning: cases, base measured, training, result measured, verdict, file and card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace import checkpoints
from voxtrace.bench.asking import parse_way
from voxtrace.bench.evaluate import evaluate
from voxtrace.bench.files import write_json, write_text
from voxtrace.bench.plan import Plan
from voxtrace.bench.sources import hashes, thinned
from voxtrace.cli.terminal import Advance
from voxtrace.cli.tuning_cases import Note, base_of, gathered
from voxtrace.cli.tuning_folder import begin, card_file, forget_unbegun, places
from voxtrace.datasets.copies import copied, told
from voxtrace.errors import InputError
from voxtrace.eval.results import Row
from voxtrace.hashing import sha256_of
from voxtrace.manifest import Case, select
from voxtrace.train.cases import load_cases
from voxtrace.train.finetune import finetune, starting_net
from voxtrace.train.frozen import MANIFEST, Asking, freeze, learnt_from
from voxtrace.train.gate import LEAST_PATIENTS, Verdict, judge
from voxtrace.train.tuned_card import Story, card, metadata
from voxtrace.train.tuning_recipes import default_way, recipe_for

if TYPE_CHECKING:
    from voxtrace.cli.finetune import Finetune

VERDICT = "gate.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. guard: the verdict on other sets, None if none were asked for."""

    file: Path
    verdict: Verdict
    guard: Verdict | None
    steps: int

    @property
    def better(self) -> bool:
        """Better on the held-out cases, and not worse on the others."""
        return self.verdict.passed and (self.guard is None or self.guard.word != "worse")

    def plain(self) -> dict[str, Any]:
        """As one JSON object."""
        guard = self.guard.plain() if self.guard else None
        return {"file": str(self.file), "steps": self.steps, "gate": self.verdict.plain(), "against": guard}

    def lines(self) -> list[str]:
        """For a person."""
        guard = [f"On the other sets: {self.guard.sentence()}"] if self.guard else []
        end = "" if self.better else " It is kept, but do not take it for an improvement; its card says so."
        return [self.verdict.sentence() + end, *guard, f"{self.file} (card: {card_file(self.file).name})"]


def tune(asked: Finetune, advance: Advance, note: Note, command: Sequence[str]) -> Outcome:
    """Carry out what is asked. Raises the errors of what it calls; nothing is trained before the cases are known."""
    parse_way(asked.prompt)
    located = checkpoints.resolve(asked.model, asked.image_size)
    file, folder = places(asked.out, located.name)
    net = starting_net(located)
    own, others = gathered(asked, note)
    refuse_copies(select(own, split="train"), [*select(own, split="val"), *others])
    known = hashes([*own, *others])
    forget_unbegun(folder)
    held, asking = freeze(folder, own, known, Asking(asked.prompt, asked.seed, asked.objects))
    taught = thinned(learnt_from(own, held), asked.cases)
    way, low_rank = asked.way() or default_way(net.config), asked.low_rank()
    recipe = recipe_for(
        net.config,
        way,
        asked.minutes,
        rate=asked.rate,
        frames=asked.frames,
        steps=asked.steps,
        seed=asked.seed,
        workers=asked.workers,
        pictures=all(case.kind == "image" for case in taught),
    )
    questions = f"{asking.prompt}, seed {asking.seed}"
    story = Story(file.stem, base_of(located), way, net.config.image_size, 0, 0.0, 0, taught, held, known, questions)
    begin(folder, story, recipe, low_rank if way == "lora" else None)
    say_what_is_coming(story, note)
    measure = Measuring(folder, asking, asked, note, command)
    before = measure("base", asked.model, folder / MANIFEST, asked.image_size)
    guarding = guard_list(folder, others, known, asking)
    guard_before = measure("against-base", asked.model, guarding, asked.image_size) if guarding else []
    note(f"training for at most {asked.minutes:g} minutes ({way})")
    done = finetune(
        net,
        way,
        recipe,
        load_cases(taught),
        folder / "training",
        low_rank=low_rank,
        tell=lambda step: advance(round(100 * step.progress), 100),
    )
    story = replace(story, steps=done.steps, minutes=done.seconds / 60, taught=done.taught)
    checkpoints.save(file, done.net, done.net.config, metadata(story, None))
    note(f"{done.steps} steps; measuring the result")
    mark = sha256_of(file)[:8]  # measurements belong to this very file: a longer training gets others
    verdict = judge(before, measure(f"tuned-{mark}", str(file), folder / MANIFEST))
    guard = judge(guard_before, measure(f"against-{mark}", str(file), guarding)) if guarding else None
    checkpoints.save(file, done.net, done.net.config, metadata(story, verdict, guard))
    write_text(card_file(file), card(story, verdict, guard))
    outcome = Outcome(file, verdict, guard, done.steps)
    write_json(folder / VERDICT, outcome.plain() | {"file": file.name})
    return outcome


def refuse_copies(taught: Sequence[Case], held: Sequence[Case]) -> None:
    """Raise InputError if a picture is both learnt and asked about: every figure afterwards would be too good."""
    if pairs := copied(taught, held):
        raise InputError(
            f"{len(pairs)} held-out case(s) share an image with one to learn from, so the result "
            f"could not be judged: {told(pairs)}. Take one of each out; `voxtrace data index` names all of a folder's"
        )


def say_what_is_coming(story: Story, note: Note) -> None:
    """Before half an hour is spent: on what, and whether anything can come of it."""
    note(f"{len(story.trained_on)} cases to learn from, {len(story.measured_on)} held out; measuring {story.base.name}")
    patients = len({(case.set, case.patient or case.id) for case in story.measured_on})
    if patients < LEAST_PATIENTS:
        note(f"{patients} patients are held out: with fewer than {LEAST_PATIENTS} nothing can be shown of the result")


@dataclass(frozen=True, slots=True)
class Measuring:
    """Evaluations into sub-folders of the run's folder, all with the same questions."""

    folder: Path
    asking: Asking
    options: Finetune
    note: Note
    command: Sequence[str]

    def __call__(self, name: str, model: str, manifest: Path, image_size: int | None = None) -> list[Row]:
        """The rows of one model on the cases of one manifest; a stopped measurement goes on."""
        plan = Plan(
            str(manifest),
            (model,),
            (self.asking.prompt,),
            objects=self.asking.objects,
            seed=self.asking.seed,
            image_size=image_size,
        )
        outcome = evaluate(plan, self.folder / name, command=self.command, what="finetune")
        for row in outcome.failed:
            self.note(f"failed, and counts as 0: {row.case} object {row.object}: {row.error}")
        return outcome.rows


def guard_list(folder: Path, others: Sequence[Case], known: Mapping[str, str], asking: Asking) -> Path | None:
    """The frozen list of the cases of --against; None without any."""
    if not others:
        return None
    freeze(folder / "against", others, known, asking)
    return folder / "against" / MANIFEST
