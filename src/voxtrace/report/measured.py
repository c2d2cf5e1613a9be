"""The part of a report on one run of `voxtrace evaluate` or `voxtrace bench modalities`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from voxtrace.eval.results import Row
from voxtrace.report.blocks import Block, Figure, Panel, Section, Text, section
from voxtrace.report.drawing.spread import spread
from voxtrace.report.drawing.trade import Estimate, trade
from voxtrace.report.numbers import best_of, counted, fixed, interval, listed
from voxtrace.report.provenance import facts, weights
from voxtrace.report.reading import Measured
from voxtrace.report.scores import BOXES, DSC, NSD, Metric, all_ways, by_group, failures, overall, way_name, ways
from voxtrace.report.setting import Setting
from voxtrace.report.sights import worst_cases

FEW = 3  # cases that a drawing needs
AGAINST_TIME = "DSC against seconds an object"
SPREAD = f"One value a case: the mean over its objects. {BOXES}"


def measured(run: Measured, setting: Setting, title: str) -> Section:
    """All that the run allows."""
    by_way = ways(run.summaries)
    blocks: list[Block | Section | None] = [Text(headline(run)), facts(run.locks[0])]
    blocks.append(section("Overall", overall(run.summaries, run.rows), failures(run.rows)))
    blocks.append(section(AGAINST_TIME, *_trades(by_way, setting)))
    blocks.append(section("Distribution", *_explained(spreads(run.rows, setting))))
    blocks += [_of_way(way, own, len(by_way) > 1) for way, own in by_way.items()]
    blocks.append(section("Worst cases", *worst_cases(run.sights, setting)))
    blocks.append(section("Provenance", weights(run.locks), *map(facts, run.locks[1:])))
    return Section(title, tuple(block for block in blocks if block is not None))


def headline(run: Measured) -> str:
    """What was measured, on what, and the best of it."""
    models = list(dict.fromkeys(one["model"] for one in run.summaries))
    what = f"{listed(models)}, {all_ways(run.summaries)}"
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
    texts = [fixed(one["overall"]["dsc"]["mean"]) for one in full]
    best = [full[place] for place in sorted(best_of(texts) or range(len(full)))]
    figure = best[0]["overall"]["dsc"]
    shown = f"{fixed(figure['mean'])} {interval(figure)}".strip()
    if len(found) == 1:
        return f"Mean DSC {shown}."
    way = way_name(best[0]["prompt"], best[0]["z_range"])
    return f"Best mean DSC, {way}: {' and '.join(one['model'] for one in best)} with {shown}."


def _of_way(way: str, own: Sequence[Mapping[str, Any]], several: bool) -> Section | None:
    where = way if several else "by kind, modality and set"
    tables = by_group(own, DSC, f"DSC, {where}"), by_group(own, NSD, f"NSD, {where}")
    return section(where.capitalize(), tables[0], replace(tables[1], note=""))


def _explained(figures: Sequence[Figure]) -> list[Block]:
    return [Text(SPREAD), *figures] if figures else []


def spreads(rows: Sequence[Row], setting: Setting) -> list[Figure]:
    """DSC and NSD by modality, of the first way of asking; of the other ways all modalities together."""
    if not rows:
        return []
    asked = list(dict.fromkeys((row.prompt, row.z_range) for row in rows))
    figures = []
    for metric in (DSC, NSD):
        panels, few = _by_modality([row for row in rows if (row.prompt, row.z_range) == asked[0]], metric, setting)
        title = f"{metric.title} by modality"
        title += f", {way_name(*asked[0])}" if len(asked) > 1 else ""
        left_out = f"Not drawn, for fewer than {FEW} cases: {listed(few, 12)}." if few else ""
        figures.append(Figure(title, tuple(panels), left_out))
    if len(asked) > 1:
        others = [
            _panel(way_name(*way), [row for row in rows if (row.prompt, row.z_range) == way], DSC, setting)
            for way in asked
        ]
        figures.append(Figure("DSC of all cases by way of asking", tuple(others), ""))
    return figures


def _by_modality(rows: Sequence[Row], metric: Metric, setting: Setting) -> tuple[list[Panel], list[str]]:
    """All together, then each modality; and those that have too few cases to be drawn."""
    cases: dict[str, set[str]] = {}
    for row in rows:
        cases.setdefault(row.modality, set()).add(row.case)
    names = sorted(cases)
    drawn = [name for name in names if len(cases[name]) >= FEW or len(names) == 1]
    panels = [_panel("all modalities", rows, metric, setting)] if len(names) > 1 else []
    panels += [_panel(name, [r for r in rows if r.modality == name], metric, setting) for name in drawn]
    return panels, [name for name in names if name not in drawn]


def _panel(title: str, rows: Sequence[Row], metric: Metric, setting: Setting) -> Panel:
    values = case_values(rows, metric.name)
    told = ", ".join(f"{model} {fixed(float(np.median(own)))}" for model, own in values.items() if own)
    words = f"{metric.title}, {title}. Medians: {told}."
    return Panel(title, spread(values, setting.palette, metric.title), words)


def case_values(rows: Sequence[Row], name: str) -> dict[str, list[float]]:
    """{model: the mean over the objects of each case}."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault(row.model, {}).setdefault(row.case, []).append(getattr(row, name))
    means = {model: [float(np.mean(own)) for own in cases.values()] for model, cases in found.items()}
    return {model: [value for value in own if np.isfinite(value)] for model, own in means.items()}


def _trades(by_way: Mapping[str, Sequence[Mapping[str, Any]]], setting: Setting) -> list[Figure]:
    panels = []
    for way, own in by_way.items():
        if len(own) < 2:
            continue
        for metric in (DSC, NSD) if len(by_way) == 1 else (DSC,):
            points = {one["model"]: (_estimate(one, "seconds"), _estimate(one, metric.name)) for one in own}
            told = [f"{m} {fixed(value.mean)} in {time.mean:.2g} s" for m, (time, value) in points.items()]
            svg = trade(points, setting.palette, metric.title, "seconds an object")
            title = metric.title if len(by_way) == 1 else way
            panels.append(Panel(title, svg, f"{metric.title} against seconds: {', '.join(told)}."))
    models = tuple(dict.fromkeys(one["model"] for own in by_way.values() if len(own) > 1 for one in own))
    caption = "Means over sets with 95 % intervals both ways. To the top left is better: more overlap in less time."
    return [Figure(AGAINST_TIME, tuple(panels), caption, models)] if panels else []


def _estimate(one: Mapping[str, Any], metric: str) -> Estimate:
    return Estimate.of(one["overall"][metric])
