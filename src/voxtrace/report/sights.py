"""The worst cases, named and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.bench.shown import Shown, Sight
from voxtrace.report.blocks import Block, Cell, Column, Panel, Picture, Pictures, Table
from voxtrace.report.drawing.overlay import key, overlay
from voxtrace.report.numbers import fixed
from voxtrace.report.scores import way_name
from voxtrace.report.setting import Setting

CAPTION = (
    "Of each model the worst case of each set first; of a case its worst object, under the prompt by which it was "
    "worst. Cut to the object."
)


def worst_cases(sights: Sequence[Sight], setting: Setting, caption: str = CAPTION) -> list[Block]:
    """A table of them, and pictures unless these are to be left out."""
    if not sights:
        return []
    by_model: dict[str, list[Sight]] = {}
    for sight in sights:
        by_model.setdefault(sight.about["model"], []).append(sight)
    blocks: list[Block] = [_table(by_model, caption)]
    if setting.pictures:
        explained = key()
        for model, own in by_model.items():
            blocks.append(Pictures(f"Worst cases of {model}", tuple(map(_picture, own)), "", explained))
            explained = ""
    return blocks


def _table(by_model: Mapping[str, Sequence[Sight]], caption: str) -> Table:
    names = ("case", "set", "how", "object", "DSC", "NSD")
    lines: list[tuple[Cell, ...] | str] = []
    for model, own in by_model.items():
        lines.append(model)
        for about in (sight.about for sight in own):
            words = (_name(about), about["set"], way_name(about["prompt"], about["z_range"]))
            figures = (str(about["object"]), fixed(about["dsc"]), fixed(about["nsd"]))
            lines.append(tuple(map(Cell, (*words, *figures))))
    columns = tuple(Column(name, number=name in ("object", "DSC", "NSD")) for name in names)
    return Table("Worst cases", columns, tuple(lines), caption)


def _picture(sight: Sight) -> Picture:
    about = sight.about
    frames = tuple(_frame(one, about["kind"], len(sight.frames)) for one in sight.frames)
    lines = (
        f"{about['set']}, object {about['object']}, {way_name(about['prompt'], about['z_range'])}",
        f"DSC {fixed(about['dsc'])}, NSD {fixed(about['nsd'])}",
    )
    return Picture(_name(about), frames, lines)


def _name(about: Mapping[str, Any]) -> str:
    """The case, without its set: that stands beside it."""
    return str(about["case"]).removeprefix(f"{about['set']}/")


def _frame(one: Shown, kind: str, count: int) -> Panel:
    word = {"volume": "slice", "video": "frame"}.get(kind, "")
    title = f"{word} {one.frame}" if word else ""
    if count > 1:
        title += ", marked" if one.marked else ", most different"
    empty = [name for name, mask in (("reference", one.truth), ("prediction", one.mask)) if not mask.any()]
    words = f"no {' and no '.join(empty)} here" if empty else ""
    title = ", ".join(part for part in (title, words) if part)
    return Panel(title, overlay(one), f"{title or 'the picture'}: reference, prediction and prompt as outlines")
