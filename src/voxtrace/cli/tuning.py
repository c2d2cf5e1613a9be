"""The course of a fine-tuning: cases, base measured, training, result measured, verdict, file and card."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtrace import checkpoints
from voxtrace.bench.evaluate import evaluate
from voxtrace.bench.files import write_json
from voxtrace.bench.plan import Plan
from voxtrace.bench.sources import hashes, thinned
from voxtrace.checkpoints.download import sha256_of
from voxtrace.cli import outputs
from voxtrace.cli.terminal import Advance
from voxtrace.datasets import find_cases
from voxtrace.datasets.splitting import split_by_patient
from voxtrace.errors import InputError, OutputError
from voxtrace.eval.results import Row
from voxtrace.manifest import Case, select, validate
from voxtrace.train.cases import load_cases
from voxtrace.train.finetune import finetune, starting_net
from voxtrace.train.frozen import MANIFEST, Asking, freeze, learnt_from
from voxtrace.train.gate import Verdict, judge
from voxtrace.train.lora import LowRank
from voxtrace.train.tuned_card import Base, Story, card, metadata
from voxtrace.train.tuning_recipes import default_way, recipe_for

if TYPE_CHECKING:
    from voxtrace.cli.finetune import Finetune

SETTINGS, VERDICT = "finetune.json", "gate.json"
HELD_OUT = 0.2
Note = Callable[[str], None]


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
    located = checkpoints.resolve(asked.model, asked.image_size)
    file, folder = places(asked.out, located.name)
    net = starting_net(located)
    own, others = gathered(asked, note)
    known = hashes([*own, *others])
    held, asking = freeze(folder, own, known, Asking(asked.prompt, asked.seed, asked.objects))
    taught = thinned(learnt_from(own, held), asked.cases)
    base = base_of(located)
    way, low_rank = asked.way() or default_way(net.config), LowRank(asked.rank, asked.alpha or 2.0 * asked.rank)
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
    story = Story(
        file.stem,
        base,
        way,
        net.config.image_size,
        0,
        0.0,
        0,
        taught,
        held,
        known,
        f"{asking.prompt}, seed {asking.seed}",
    )
    begin(folder, file, story, recipe.rate, recipe.frames, low_rank if way == "lora" else None)
    note(f"{len(taught)} cases to learn from, {len(held)} held out; measuring {base.name} first")
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
    after = measure(f"tuned-{mark}", str(file), folder / MANIFEST)
    verdict = judge(before, after)
    guard = judge(guard_before, measure(f"against-{mark}", str(file), guarding)) if guarding else None
    checkpoints.save(file, done.net, done.net.config, metadata(story, verdict, guard))
    card_file(file).write_text(card(story, verdict, guard), encoding="utf-8")
    outcome = Outcome(file, verdict, guard, done.steps)
    write_json(folder / VERDICT, outcome.plain() | {"file": file.name})
    return outcome


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


def places(out: Path, model: str) -> tuple[Path, Path]:
    """The weights file, and the folder of all else. Raises OutputError."""
    if out.suffix == ".safetensors" and not out.is_dir():
        file, folder = out, out.with_name(f"{out.stem}-run")
    else:
        file, folder = out / f"{model}-tuned.safetensors", out
    outputs.check_folder(folder)
    if file.exists() and not (folder / SETTINGS).is_file():
        raise OutputError(
            f"the output {file} exists already and is not of a fine-tuning in {folder}; choose another --out"
        )
    return file, folder


def card_file(file: Path) -> Path:
    """The card beside a weights file."""
    return file.with_suffix(".md")


def gathered(asked: Finetune, note: Note) -> tuple[list[Case], list[Case]]:
    """The cases to learn from and be judged on, split, and those of --against. Raises InputError for faulty lists."""
    cases = []
    for place in asked.data:
        found = find_cases(place)
        for text in found.notes:
            note(text)
        own = found.cases
        if asked.val and not found.split:
            own = [replace(case, split="train") for case in own]
        cases += own
    others = select(cases, sets=asked.against, split="val") if asked.against else []
    if asked.against and not others:
        raise InputError(f"the sets {', '.join(asked.against)} have no case of split val to be measured on")
    own = select([case for case in cases if case.set not in asked.against], sets=asked.sets or None)
    if asked.val:
        own = [case for case in own if case.split != "val"]
        own += [replace(case, split="val") for place in asked.val for case in find_cases(place).cases]
    elif not any(case.split == "val" for case in own):
        own, said = split_by_patient(own, HELD_OUT, asked.seed)
        for text in said:
            note(text)
    own = [case for case in own if case.split != "test"]
    if faults := validate(own):
        more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
        raise InputError(f"the cases cannot be used as they are: {'; '.join(faults[:3])}{more}")
    return own, others


def base_of(located: checkpoints.Located) -> Base:
    """What the card says of the net that it came from."""
    from voxtrace.checkpoints.reader import read_header
    from voxtrace.checkpoints.registered import lookup

    registered = lookup(located.name)
    licence = registered.licence if registered else read_header(located.path).metadata.get("licence", "")
    return Base(located.name, located.config, sha256_of(located.path), licence)


def begin(folder: Path, file: Path, story: Story, rate: float, frames: int, low_rank: LowRank | None) -> None:
    """Write down what decides the training, or see that a folder begun before was begun so. Raises InputError."""
    settings = {
        "file": file.name,
        "base": story.base.name,
        "base_sha256": story.base.sha256,
        "way": story.way,
        "adapters": [low_rank.rank, low_rank.alpha] if low_rank else None,
        "image_size": story.image_size,
        "rate": rate,
        "frames": frames,
        "cases": {case.id: story.hashes[case.id] for case in story.trained_on},
    }
    path = folder / SETTINGS
    if not path.is_file():
        outputs.make_folder(folder)
        write_json(path, settings)
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name in settings if begun.get(name) != settings[name]]
    if changed:
        raise InputError(
            f"{folder} was begun with another {', '.join(changed)}; choose another --out, or ask as before"
        )


def guard_list(folder: Path, others: Sequence[Case], known: dict[str, str], asking: Asking) -> Path | None:
    """The frozen list of the cases of --against; None without any."""
    if not others:
        return None
    freeze(folder / "against", others, known, asking)
    return folder / "against" / MANIFEST
