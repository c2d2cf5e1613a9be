"""The card of a fine-tuned net: what it came from, what it saw, what it is worth, what may be done with it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxtrace.manifest import Case
from voxtrace.train.gate import Verdict

WAYS = {
    "lora": "low-rank adapters, merged into the weights",
    "decoder": "the mask decoder alone",
    "full": "all weights",
}


@dataclass(frozen=True, slots=True)
class Base:
    """The net it came from. licence: "" where its file does not say."""

    name: str
    net: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Story:
    """What a fine-tuning was. taught: values changed. asked: the prompt that both nets were measured with."""

    name: str
    base: Base
    way: str
    image_size: int
    steps: int
    minutes: float
    taught: int
    trained_on: Sequence[Case]
    measured_on: Sequence[Case]
    hashes: Mapping[str, str]
    asked: str


def card(story: Story, verdict: Verdict | None, guard: Verdict | None = None) -> str:
    """Markdown. verdict: None before it was measured. guard: on sets that it should not have forgotten."""
    return "\n".join([*_head(story, verdict), *_worth(story, verdict, guard), *_data(story), *_may(story), ""])


def metadata(story: Story, verdict: Verdict | None, guard: Verdict | None = None) -> dict[str, str]:
    """What goes into the weights file beside its config."""
    return {
        "card": card(story, verdict, guard),
        "licence": licence(story.base),
        "base_model": story.base.name,
        "base_sha256": story.base.sha256,
        "data_sha256": data_sha256(story.trained_on, story.hashes),
        "data_sets": json.dumps(sorted({case.set for case in story.trained_on})),
        "steps": str(story.steps),
        "gate": json.dumps(verdict.plain() if verdict else {"word": "not measured"}),
    }


def licence(base: Base) -> str:
    """One line: a fine-tuning adds no licence of its own."""
    known = base.licence or "not stated; ask whoever made it"
    return f"base net: {known}; the data you trained on decides what you may share"


def data_sha256(cases: Sequence[Case], hashes: Mapping[str, str]) -> str:
    """Hash of the training cases, their ids with the sha256 of their files."""
    lines = sorted(f"{case.id} {hashes[case.id]}" for case in cases)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _head(story: Story, verdict: Verdict | None) -> list[str]:
    word = verdict.word if verdict else "not measured yet"
    facts = {
        "made from": f"{story.base.name} ({story.base.net}), sha256 {story.base.sha256}",
        "taught": f"{WAYS[story.way]}: {story.taught:,} values, {story.steps} steps, {story.minutes:.1f} minutes",
        "image size": f"{story.image_size} px",
        "against its base": word,
        "made by": "`voxtrace finetune`",
    }
    return [f"# {story.name}", "", "| | |", "|---|---|", *(f"| {key} | {text} |" for key, text in facts.items()), ""]


def _worth(story: Story, verdict: Verdict | None, guard: Verdict | None) -> list[str]:
    if verdict is None:
        return ["**How good:** not measured yet.", ""]
    lines = [
        f"**How good:** {verdict.sentence()} Asked by {story.asked}, on {len(story.measured_on)} held-out cases.",
        "",
    ]
    lines += ["| DSC | mean | 95 % interval |", "|---|---|---|"]
    named = (("base", verdict.base), ("fine-tuned", verdict.tuned), ("difference", verdict.difference))
    lines += [f"| {name} | {one.mean:.3f} | {one.low:.3f} to {one.high:.3f} |" for name, one in named]
    if guard is not None:
        lines += ["", f"**On other sets:** {guard.sentence()}"]
    return [*lines, ""]


def _data(story: Story) -> list[str]:
    taught, held = (
        Counter((c.set, c.modality, c.kind) for c in cases) for cases in (story.trained_on, story.measured_on)
    )
    rows = [f"| {' | '.join(key)} | {taught[key]} | {held[key]} |" for key in sorted({*taught, *held})]
    total = f"sha256 of the training data: {data_sha256(story.trained_on, story.hashes)}"
    return [
        "## Data",
        "",
        "| set | modality | kind | trained on | held out |",
        "|---|---|---|---|---|",
        *rows,
        "",
        total,
        "",
    ]


def _may(story: Story) -> list[str]:
    return [
        "## Use",
        "",
        "**For:** scans like those above, from scanners and patients like theirs. **Not for:** measurements or "
        "treatment without a person who checks every mask. Not a medical device. Elsewhere it may be worse than its "
        "base.",
        "",
        f"**Licence:** the base net's is: {story.base.licence or 'not stated; ask whoever made it'}. The data you "
        "trained on decides what you may share: weights can give away what they were taught with.",
    ]
