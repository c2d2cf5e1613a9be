"""The cases of a fine-tuning, and the net that it begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from voxtrace import checkpoints
from voxtrace.checkpoints.reader import read_header
from voxtrace.checkpoints.registered import lookup
from voxtrace.datasets import find_cases
from voxtrace.datasets.splitting import split_by_patient
from voxtrace.errors import InputError
from voxtrace.hashing import sha256_of
from voxtrace.manifest import Case, select, validate
from voxtrace.train.tuned_card import Base

if TYPE_CHECKING:
    from voxtrace.cli.finetune import Finetune

HELD_OUT = 0.2
Note = Callable[[str], None]


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
    registered = lookup(located.name)
    licence = registered.licence if registered else read_header(located.path).metadata.get("licence", "")
    return Base(located.name, located.config, sha256_of(located.path), licence)
