"""The parts of a report on two runs of a challenge: a booster round, or a run repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.report.blocks import Bullets, Cell, Column, Figure, Panel, Section, Table, section
from voxtrace.report.drawing.gains import Gain, gains
from voxtrace.report.numbers import NONE, fixed, listed, probability, signed, span
from voxtrace.report.setting import Setting

ALL = "all cases"


def comparison_section(name: str, found: Mapping[str, Any], setting: Setting) -> Section:
    """What changed from one round to the next."""
    del setting
    groups = {ALL: found["changes"], **found["by_modality"]}
    whole = next((one for one in found["changes"] if one["metric"] == "dsc"), None)
    title = f"Before and after: {name}" if name else "Before and after"
    told = []
    if found.get("before") and found.get("after"):
        told.append(f"Before: {found['before']}; after: {found['after']}.")
    if whole:
        mean = whole["mean"]
        change = f"{signed(mean['mean'])} ({span(mean['low'], mean['high'])})"
        told.append(f"DSC {fixed(whole['before'])} before, {fixed(whole['after'])} after, {change}.")
    if found.get("speed_up"):
        told.append(f"{fixed(found['speed_up'], 2)} times as fast, over the cases that were ok both times.")
    for word, key in (("No longer failing", "mended"), ("Failing now", "broken")):
        told += [f"{word}: {listed([case.removesuffix('.npz') for case in found[key]], 8)}."] if found[key] else []
    told += [f"Note: {text}." for text in found.get("notes") or ()]
    return Section(title, (Bullets(tuple(told)), *_figure(groups), _changes(groups)))


def _figure(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Figure]:
    panels = []
    for metric in ("dsc", "nsd"):
        rows = [
            Gain(name, one["before"], one["after"])
            for name, changes in groups.items()
            for one in changes
            if one["metric"] == metric
        ]
        if rows:
            told = [f"{row.name} from {fixed(row.before)} to {fixed(row.after)}" for row in rows]
            panels.append(Panel(metric.upper(), gains(rows, metric.upper()), f"{metric.upper()}: {', '.join(told)}."))
    caption = "Means over the cases of both rounds, a failed case counting as 0. Open circle: before; full: after."
    return [Figure("Before and after", tuple(panels), caption)] if panels else []


def _changes(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    heads = ("before", "after", "change", "better", "equal", "worse", "p gain", "p loss")
    lines: list[tuple[Cell, ...] | str] = []
    for name, changes in groups.items():
        for one in changes:
            mean = one["mean"]
            cells = [Cell(fixed(one["before"])), Cell(fixed(one["after"]))]
            cells.append(Cell(signed(mean["mean"]), f"({span(mean['low'], mean['high'])})" if mean["n"] > 1 else ""))
            cells += [Cell(str(one[count])) for count in ("better", "equal", "worse")]
            cells += [Cell(probability(one[p])) for p in ("p_gain", "p_loss")]
            lines.append((Cell(name), Cell(one["metric"].upper()), *cells))
    columns = (Column("", number=False), Column("metric", number=False), *map(Column, heads))
    note = "Change with its 95 % interval; better, equal, worse: cases; p: one-sided Wilcoxon signed rank tests."
    return Table("Changes", columns, tuple(lines), note)


def reproduction_section(name: str, found: Mapping[str, Any]) -> Section | None:
    """Whether a second run gave what the first gave."""
    verdict = "Reproduced" if found["reproduced"] else "Not reproduced"
    counts = ", ".join(f"{count} {what}" for what, count in found["counts"].items())
    deltas = found["deltas"]
    told = [f"{verdict}: {counts}."]
    told.append(f"Counts as reproduced: DSC within {deltas['dsc']:g}, NSD within {deltas['nsd']:g}.")
    if found.get("first") and found.get("second"):
        told.insert(0, f"First: {found['first']}; second: {found['second']}.")
    told += [f"Changed: {text}." for text in found.get("changed") or ()]
    told += [f"Note: {text}." for text in found.get("notes") or ()]
    lines = tuple(
        (Cell(case["case"]), Cell(case["verdict"]), *_deltas(case), Cell(case["why"]))
        for case in found["cases"]
        if case["verdict"] in ("different", "not run")
    )
    heads = ("case", "verdict", "DSC", "NSD", "time", "what differs")
    columns = tuple(Column(head, number=head in ("DSC", "NSD", "time")) for head in heads)
    table = Table("Cases that are not reproduced", columns, lines, "DSC, NSD: second less first.") if lines else None
    return section(f"Reproduced: {name}" if name else "Reproduced", Bullets(tuple(told)), table)


def _deltas(case: Mapping[str, Any]) -> tuple[Cell, ...]:
    ratio = case.get("seconds_ratio")
    return (
        Cell(signed(case["dsc"], 4)),
        Cell(signed(case["nsd"], 4)),
        Cell(f"×{ratio:.2f}" if ratio is not None else NONE),
    )
