"""The part of a report on one run of `voxtrace evaluate` or `voxtrace bench modalities`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtrace.eval.results import Row
from voxtrace.report.blocks import Block, Figure, Panel, Section, Text, section
from voxtrace.report.drawing.spread import spread
from voxtrace.report.drawing.trade import Estimate, trade
from voxtrace.report.numbers import counted, fixed, interval, listed
from voxtrace.report.provenance import facts, weights
from voxtrace.report.reading import Measured
from voxtrace.report.scores import DSC, NSD, Metric, by_group, failures, overall, way_name, ways
from voxtrace.report.setting import Setting
from voxtrace.report.sights import worst_cases

AGAINST_TIME = "DSC against seconds an object"
SPREAD = (
    "One value a case: the mean over its objects. Box: quartiles and median; line: as far as 1.5 times their distance; "
    "violin behind it; dots: cases, of more than 25 those beyond the line. Box from 5 cases, violin from 10. n: cases."
)


def measured(run: Measured, setting: Setting, title: str) -> Section:
    """All that the run allows."""
    by_way = ways(run.summaries)
    blocks: list[Block | Section | None] = [Text(headline(run)), facts(run.locks[0])]
    blocks.append(section("Figures", overall(run.summaries, run.rows), failures(run.rows)))
    blocks += [_of_way(way, own, len(by_way) > 1) for way, own in by_way.items()]
    blocks.append(section("Distribution", *spreads(run.rows, setting)))
    blocks.append(section(AGAINST_TIME, *_trades(by_way, setting)))
    blocks.append(section("Worst cases", *worst_cases(run.sights, setting)))
    blocks.append(section("Provenance", weights(run.locks), *map(facts, run.locks[1:])))
    return Section(title, tuple(block for block in blocks if block is not None))


def headline(run: Measured) -> str:
    """What was measured, on what, and the best of it."""
    models = list(dict.fromkeys(one["model"] for one in run.summaries))
    asked = list(ways(run.summaries))
    what = f"{listed(models)}, asked by {'; '.join(asked[:6])}{' and more' if len(asked) > 6 else ''}"
    if run.rows:
        objects = len({(row.case, row.object) for row in run.rows})
        cases, sets = len({row.case for row in run.rows}), len({row.set for row in run.rows})
        modalities = len({row.modality for row in run.rows})
        what += f": {counted(objects, 'object')} of {counted(cases, 'case')} in {counted(sets, 'set')}"
        what += f", {counted(modalities, 'modality', 'modalities')}"
    return f"{what}. {best_line(run.summaries)}"


def best_line(found: Sequence[Mapping[str, Any]]) -> str:
    """The best mean DSC of the first way of asking, among those measured on as many patients."""
    own = next(iter(ways(found).values()))
    most = max(one["overall"]["dsc"]["n"] for one in own)
    full = [one for one in own if one["overall"]["dsc"]["n"] == most]
    top = max(fixed(one["overall"]["dsc"]["mean"]) for one in full)
    names = [one["model"] for one in full if fixed(one["overall"]["dsc"]["mean"]) == top]
    first = next(one for one in full if one["model"] == names[0])
    figure = f"{top} {interval(first['overall']['dsc'])}".strip()
    way = way_name(first["prompt"], first["z_range"])
    if len(found) == 1:
        return f"Mean DSC {figure}."
    return f"Best mean DSC by {way}: {' and '.join(names)} with {figure}."


def _of_way(way: str, own: Sequence[Mapping[str, Any]], several: bool) -> Section | None:
    where = f"asked by {way}" if several else "by kind, modality and set"
    return section(where.capitalize(), by_group(own, DSC, f"DSC, {where}"), by_group(own, NSD, f"NSD, {where}"))


def spreads(rows: Sequence[Row], setting: Setting) -> list[Figure]:
    """DSC and NSD by modality, of the first way of asking; of the other ways all modalities together."""
    if not rows:
        return []
    asked = list(dict.fromkeys((row.prompt, row.z_range) for row in rows))
    figures = []
    for metric in (DSC, NSD):
        panels = _by_modality([row for row in rows if (row.prompt, row.z_range) == asked[0]], metric, setting)
        title = f"{metric.title} by modality"
        title += f", asked by {way_name(*asked[0])}" if len(asked) > 1 else ""
        figures.append(Figure(title, tuple(panels), SPREAD))
    if len(asked) > 1:
        others = [
            _panel(way_name(*way), [row for row in rows if (row.prompt, row.z_range) == way], DSC, setting)
            for way in asked
        ]
        figures.append(Figure("DSC of all cases by way of asking", tuple(others), SPREAD))
    return figures


def _by_modality(rows: Sequence[Row], metric: Metric, setting: Setting) -> list[Panel]:
    names = sorted({row.modality for row in rows})
    panels = [_panel("all modalities", rows, metric, setting)] if len(names) > 1 else []
    return panels + [_panel(name, [r for r in rows if r.modality == name], metric, setting) for name in names]


def _panel(title: str, rows: Sequence[Row], metric: Metric, setting: Setting) -> Panel:
    values = case_values(rows, metric.name)
    told = [f"{model} {fixed(float(np.median(own)))}" for model, own in values.items()]
    return Panel(title, spread(values, setting.palette, metric.title), f"{metric.title}, {title}. {_medians(told)}")


def _medians(told: Sequence[str]) -> str:
    return f"Medians: {', '.join(told)}."


def case_values(rows: Sequence[Row], name: str) -> dict[str, list[float]]:
    """{model: the mean over the objects of each case}."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault(row.model, {}).setdefault(row.case, []).append(getattr(row, name))
    return {model: [float(np.mean(own)) for own in cases.values()] for model, cases in found.items()}


def _trades(by_way: Mapping[str, Sequence[Mapping[str, Any]]], setting: Setting) -> list[Figure]:
    panels = []
    for way, own in by_way.items():
        for metric in (DSC, NSD) if len(by_way) == 1 else (DSC,):
            points = {one["model"]: (_estimate(one, "seconds"), _estimate(one, metric.name)) for one in own}
            told = [f"{m} {fixed(value.mean)} in {time.mean:.2g} s" for m, (time, value) in points.items()]
            svg = trade(points, setting.palette, metric.title, "seconds an object")
            title = metric.title if len(by_way) == 1 else f"asked by {way}"
            panels.append(Panel(title, svg, f"{metric.title} against seconds: {', '.join(told)}."))
    models = tuple(dict.fromkeys(one["model"] for own in by_way.values() for one in own))
    caption = "Means over sets with 95 % intervals both ways. To the top left is better: more overlap in less time."
    return [Figure(AGAINST_TIME, tuple(panels), caption, models)]


def _estimate(one: Mapping[str, Any], metric: str) -> Estimate:
    figure = one["overall"][metric]
    return Estimate(figure["mean"], figure["low"], figure["high"])
