"""The part of a report on `voxtrace bench robustness`: what prompts that are off cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.report.blocks import Block, Cell, Column, Figure, Panel, Section, Table, Text, section
from voxtrace.report.drawing.curves import Scale, curves
from voxtrace.report.drawing.trade import Estimate, unit_limits
from voxtrace.report.numbers import NONE, best_of, counted, fixed, interval, listed, signed
from voxtrace.report.provenance import facts, weights
from voxtrace.report.reading import Measured
from voxtrace.report.scores import BEST, failures
from voxtrace.report.setting import Setting
from voxtrace.report.sights import worst_cases

TITLES = {  # what a fault is, and what its levels are
    "box-jitter": ("boxes that are off", "sides off by up to, of the size"),
    "click-jitter": ("a click that is off", "pixels off, at most"),
    "wrong-clicks": ("clicks of the wrong sign", "share of wrong signs"),
}
OVERALL = "overall"
Points = Sequence[Mapping[str, Any]]


def robustness(run: Measured, setting: Setting, title: str) -> Section:
    """Curves, the figures on them, and what else the run allows."""
    points = run.curves
    faults = list(dict.fromkeys(point["fault"] for point in points))
    blocks: list[Block | Section | None] = [Text(_headline(run, faults)), facts(run.locks[0])]
    if points:
        blocks.append(section("Robustness curves", _figure(points, faults, setting)))
        tables = [_table(points, fault) for fault in faults]
        blocks.append(section("Levels", *tables, failures(run.rows)))
    blocks.append(section("Worst cases", *worst_cases(run.sights, setting)))
    blocks.append(section("Provenance", weights(run.locks)))
    return Section(title, tuple(block for block in blocks if block is not None))


def _headline(run: Measured, faults: Sequence[str]) -> str:
    models = _models(run.curves)
    whole = [point for point in run.curves if point["kind"] == OVERALL]
    worst = [max((p for p in whole if p["fault"] == fault), key=_lost, default=None) for fault in faults]
    lost = " ".join(
        f"{_title(p['fault']).capitalize()}: {_loses(p, len(models))} at {_level(p['level'], p['fault'])}."
        for p in worst
        if p
    )
    objects = len({(row.case, row.object) for row in run.rows})
    return f"{listed(models)}, with prompts that are off, on {counted(objects, 'object')}. {lost}"


def _lost(point: Mapping[str, Any]) -> float:
    return float(point["lost"] or 0)


def _loses(point: Mapping[str, Any], models: int) -> str:
    return (
        f"{_name(point)} loses most, {fixed(point['lost'])} DSC," if models > 1 else f"{fixed(point['lost'])} DSC lost"
    )


def _level(level: float, fault: str) -> str:
    return f"{level:g} pixels" if fault == "click-jitter" else f"{level * 100:g} %"


def _figure(points: Points, faults: Sequence[str], setting: Setting) -> Figure:
    """One scale of DSC for all faults, so that they can be compared."""
    whole = [point for point in points if point["kind"] == OVERALL]
    every = [Estimate.of(point, "dsc") for point in whole]
    limits = unit_limits([value for one in every for value in (one.low, one.high)])
    panels = []
    for fault in faults:
        own = [point for point in whole if point["fault"] == fault]
        lines: dict[str, dict[float, Estimate]] = {}
        for point in own:
            lines.setdefault(_name(point), {})[point["level"]] = Estimate.of(point, "dsc")
        levels = sorted({point["level"] for point in own})
        names = [f"{level * 100:g}%" if fault != "click-jitter" else f"{level:g}" for level in levels]
        svg = curves(lines, setting.palette, Scale(levels, names, _levels(fault)), "DSC", limits)
        told = [f"{name} from {fixed(at[levels[0]].mean)} to {fixed(at[max(at)].mean)}" for name, at in lines.items()]
        panels.append(Panel(_title(fault), svg, f"DSC, {_title(fault)}: {', '.join(told)}."))
    caption = (
        "Mean DSC over sets with 95 % intervals from drawing patients. At each level an object's marks are moved "
        "the same way, only farther. Lines are set a little apart so that their intervals can be told."
    )
    return Figure("Robustness curves", tuple(panels), caption, tuple(_models(points)))


def _table(points: Points, fault: str) -> Table:
    """A line a level; a column a model: DSC and what is lost against the ideal prompt. All kinds, then each."""
    own = [point for point in points if point["fault"] == fault]
    models = _models(own)
    kinds = [kind for kind in dict.fromkeys(point["kind"] for point in own)]
    lines: list[tuple[Cell, ...] | str] = []
    for kind in kinds if len(kinds) > 2 else kinds[:1]:
        if len(kinds) > 2:
            lines.append("All kinds" if kind == OVERALL else f"{kind.capitalize()}s")
        for level in sorted({point["level"] for point in own if point["kind"] == kind}):
            at = {_name(p): p for p in own if p["kind"] == kind and p["level"] == level}
            lines.append(_line(level, [at.get(model) for model in models], fault))
    columns = (Column(_levels(fault), number=False), *(Column(model, model=model) for model in models))
    note = "In brackets the 95 % interval, then the change against the ideal prompt."
    return Table(
        f"DSC, {_title(fault)}", (*columns, Column("patients")), tuple(lines), f"{note} {BEST}" if models[1:] else note
    )


def _line(level: float, points: Sequence[Mapping[str, Any] | None], fault: str) -> tuple[Cell, ...]:
    best = best_of([fixed(point["dsc"]) if point else NONE for point in points])
    cells = []
    for place, point in enumerate(points):
        if point is None:
            cells.append(Cell(NONE))
            continue
        lost = signed(-point["lost"]) if level else ""
        cells.append(Cell(fixed(point["dsc"]), f"{interval(point)} {lost}".strip(), place in best))
    name = f"{level:g}" if fault == "click-jitter" else f"{level * 100:g} %"
    patients = max(point["n"] for point in points if point)
    return (Cell(name), *cells, Cell(str(patients)))


def _models(points: Points) -> list[str]:
    return list(dict.fromkeys(_name(point) for point in points))


def _name(point: Mapping[str, Any]) -> str:
    return f"{point['model']}, z range told" if point["z_range"] else point["model"]


def _title(fault: str) -> str:
    return TITLES.get(fault, (fault, ""))[0]


def _levels(fault: str) -> str:
    return TITLES.get(fault, ("", fault))[1]
