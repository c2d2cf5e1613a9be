"""Submissions of a challenge side by side: their scores, how these are spread, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from voxtrace.bench.challenge.runs import OK, CaseRow, Run
from voxtrace.eval.bootstrap import figure
from voxtrace.report.blocks import Cell, Column, Figure, Panel, Table
from voxtrace.report.drawing.spread import spread
from voxtrace.report.drawing.trade import Estimate, trade
from voxtrace.report.numbers import NONE, best_of, fixed, listed, memory, seconds
from voxtrace.report.scores import BOXES, DSC, NSD, Metric, compared
from voxtrace.report.setting import Setting

CASES = "Means over cases with 95 % intervals from drawing cases; a failed case counts as 0."


def scores(names: Mapping[str, Run]) -> list[Table]:
    if not names:
        return []
    columns = [Column("submission", number=False), Column("DSC"), Column("NSD"), Column("seconds, median")]
    columns += [Column("memory, MB"), Column("ok"), Column("failed"), Column("cases")]
    found = [run.summary() for run in names.values()]
    texts = {
        "dsc": [fixed(one["dsc"]["mean"]) if one["dsc"] else NONE for one in found],
        "nsd": [fixed(one["nsd"]["mean"]) if one["nsd"] else NONE for one in found],
        "seconds": [seconds(one["seconds"]["median"]) if one["seconds"] else NONE for one in found],
        "memory": [memory(one["peak_memory"]) for one in found],
    }
    whole = [
        seconds if one["statuses"].get(OK) == one["cases"] else NONE
        for one, seconds in zip(found, texts["seconds"], strict=True)
    ]
    best = {name: best_of(texts[name]) for name in ("dsc", "nsd")} | {"seconds": best_of(whole, True), "memory": set()}
    lines = []
    for place, (name, one) in enumerate(zip(names, found, strict=True)):
        ok = one["statuses"].get(OK, 0)
        cells = [
            Cell(texts[m][place], _interval(one.get(m)) if m in ("dsc", "nsd") else "", place in best[m]) for m in texts
        ]
        lines.append((Cell(name), *cells, Cell(str(ok)), Cell(str(one["cases"] - ok)), Cell(str(one["cases"]))))
    tables = [
        Table(
            "Overall",
            tuple(columns),
            tuple(lines),
            f"{CASES} Seconds and memory are of cases that are ok; seconds are compared of those that failed none.",
        )
    ]
    modalities = {row.modality for run in names.values() for row in run.rows}
    if len(modalities) > 1:
        summaries = [_summary(name, run) for name, run in names.items()]
        tables += [_by_modality(summaries, metric) for metric in (DSC, NSD)]
    return tables


def _by_modality(found: Sequence[Mapping[str, Any]], metric: Metric) -> Table:
    """A line for each submission, a column for each modality: submissions may be many."""
    names = sorted({name for one in found for name in one["by_modality"]})
    groups = [[one["overall"] for one in found], *([one["by_modality"].get(name) for one in found] for name in names)]
    cells = [compared(figures, metric) for figures in groups]
    counts = [max((one[metric.name]["n"] for one in figures if one), default=0) for figures in groups]
    heads = [f"{name} (n = {count})" for name, count in zip(("all", *names), counts, strict=True)]
    columns = (Column("submission", number=False), *map(Column, heads))
    lines = [(Cell(one["model"]), *(own[place] for own in cells)) for place, one in enumerate(found)]
    note = "Bold: the best mean of the column, equal ones too; n: cases."
    return Table(f"{metric.title} by modality", columns, tuple(lines), note)


def _interval(one: Mapping[str, Any] | None) -> str:
    return f"({fixed(one['low'])}–{fixed(one['high'])})" if one and one["n"] > 1 else ""


def _summary(name: str, run: Run) -> dict[str, Any]:
    rows = [row for row in run.rows if row.dsc is not None and row.nsd is not None]
    modalities = sorted({row.modality or "unknown" for row in rows})
    parts = {m: _figures([row for row in rows if (row.modality or "unknown") == m]) for m in modalities}
    return {"model": name, "overall": _figures(rows), "by_kind": {}, "by_modality": parts, "by_set": {}}


def _figures(rows: Sequence[CaseRow]) -> dict[str, Any]:
    if not rows:
        return {}
    sets, cases = [""] * len(rows), [str(number) for number in range(len(rows))]  # as `Run.summary` draws them
    return {m: asdict(figure([getattr(row, m) for row in rows], sets, cases)) for m in ("dsc", "nsd")}


def spreads(names: Mapping[str, Run], setting: Setting) -> list[Figure]:
    figures = []
    for metric in (DSC, NSD):
        values = {
            name: [
                (row.modality or "unknown", value)
                for row in run.rows
                if (value := getattr(row, metric.name)) is not None
            ]
            for name, run in names.items()
        }
        modalities = sorted({modality for own in values.values() for modality, _ in own})
        if not modalities:
            continue
        groups = [None, *modalities] if len(modalities) > 1 else [None]
        panels = [_spread_panel(group, values, metric, setting) for group in groups]
        figures.append(Figure(f"{metric.title} by modality", tuple(panels), f"A failed case is 0. {BOXES}"))
    return figures


def _spread_panel(
    group: str | None, values: Mapping[str, Sequence[tuple[str, float]]], metric: Metric, setting: Setting
) -> Panel:
    own = {name: [v for modality, v in pairs if group in (None, modality)] for name, pairs in values.items()}
    own = {name: found for name, found in own.items() if found}
    told = [f"{name} {fixed(float(np.median(found)))}" for name, found in own.items()]
    title = group or "all cases"
    return Panel(
        title, spread(own, setting.palette, metric.title), f"{metric.title}, {title}. Medians: {', '.join(told)}."
    )


def trades(names: Mapping[str, Run], setting: Setting) -> list[Figure]:
    panels, shown = [], list[str]()
    for metric in (DSC, NSD):
        points = {}
        for name, run in names.items():
            times = [row.seconds for row in run.rows if row.status == OK]
            values = [value for row in run.rows if (value := getattr(row, metric.name)) is not None]
            if times and values:
                points[name] = (_mean(times), _mean(values))
        if points:
            told = [f"{name} {fixed(value.mean)} in {seconds(time.mean)} s" for name, (time, value) in points.items()]
            svg = trade(points, setting.palette, metric.title, "seconds a case")
            panels.append(Panel(metric.title, svg, f"{metric.title} against seconds: {', '.join(told)}."))
            shown = list(points)
    lacking = [name for name in names if name not in shown]
    caption = "Means over cases with 95 % intervals; seconds with start-up, of cases that are ok."
    caption += f" Without a case that is ok: {listed(lacking)}." if lacking else ""
    return [Figure("Scores against seconds a case", tuple(panels), caption, tuple(shown))] if panels else []


def _mean(values: Sequence[float]) -> Estimate:
    one = figure(values, [""] * len(values), [str(number) for number in range(len(values))])
    return Estimate(one.mean, one.low, one.high)
