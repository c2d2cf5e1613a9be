"""The part of a report on a challenge: standings and how sure they are, and the submissions' figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from voxtrace.bench.challenge.runs import OK, CaseRow, Run
from voxtrace.bench.challenge.standings import DEFAULT_METRICS, standings, unique_names
from voxtrace.eval.bootstrap import figure
from voxtrace.report.blocks import Block, Cell, Column, Figure, Panel, Section, Table, Text, section
from voxtrace.report.drawing.duels import duels
from voxtrace.report.drawing.ranks import ranks
from voxtrace.report.drawing.spread import spread
from voxtrace.report.drawing.trade import Estimate, trade
from voxtrace.report.failing import failed_cases
from voxtrace.report.numbers import NONE, best_of, counted, fixed, listed, seconds
from voxtrace.report.provenance import run_facts
from voxtrace.report.reading import Contest
from voxtrace.report.rounds import comparison_section, reproduction_section
from voxtrace.report.scores import DSC, NSD, Metric, by_group
from voxtrace.report.setting import Setting
from voxtrace.report.sights import worst_cases
from voxtrace.report.submitted import challenge_sights

SHOW = {"seconds": seconds, "peak_memory": lambda value: NONE if value is None else f"{value / 2**20:.0f}"}
TITLES = {"dsc": "DSC", "nsd": "NSD", "seconds": "seconds", "peak_memory": "memory, MB"}
CASES = "Means over cases with 95 % intervals from drawing cases; a failed case counts as 0."


def contest(found: Contest, setting: Setting, title: str = "Challenge") -> Section:
    """All that the runs and rankings allow."""
    names = named(found.runs)
    rankings = found.rankings or _ranked(found.runs)
    blocks: list[Block | Section | None] = [Text(_headline(names, rankings))]
    for name, ranking in rankings:
        several = f", {name}" if len(rankings) > 1 else ""
        blocks.append(_standings(ranking, setting, several))
    blocks.append(
        section("Scores of the submissions", *_scores(names), *_spread(names, setting), *_trade(names, setting))
    )
    blocks.append(section("Failed and missing cases", failed_cases(names)))
    sights = challenge_sights(names, setting.cases) if setting.cases else []
    caption = "Of each submission its worst cases, by the object that it found worst. Cut to the object."
    blocks.append(section("Worst cases", *worst_cases(sights, setting, caption)))
    blocks += [comparison_section(name, one, setting) for name, one in found.comparisons]
    blocks += [reproduction_section(name, one) for name, one in found.reproductions]
    runs = [section(name, run_facts(run, found.locks.get(str(run.folder), {}))) for name, run in names.items()]
    blocks.append(section("Provenance", *runs))
    return Section(title, tuple(block for block in blocks if block is not None))


def named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by their submission's name; by their folder too where several have one name."""
    names = unique_names(runs)
    if len(set(names)) < len(names):
        names = tuple(f"{run.name} ({run.folder.parent.name}/{run.folder.name})" for run in runs)
    return dict(zip(names, runs, strict=True))


def _ranked(runs: Sequence[Run]) -> list[tuple[str, dict[str, Any]]]:
    """Where no ranking was given: that of `voxtrace challenge rank` by default, over what was scored."""
    if len(runs) < 2 or len(set(unique_names(runs))) < len(runs):
        return []
    scored = all(row.dsc is not None for run in runs for row in run.rows)
    return [("", standings(runs, DEFAULT_METRICS if scored else {"seconds": 1.0}).to_json())]


def _headline(names: Mapping[str, Run], rankings: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    parts = []
    if names:
        cases = len({row.case for run in names.values() for row in run.rows})
        parts.append(f"{counted(len(names), 'submission')} on {counted(cases, 'case')}.")
    if rankings:
        table = rankings[0][1]["table"]
        first = [row["submission"] for row in table if row["rank"] == 1]
        low, high = table[0]["rank_low"], table[0]["rank_high"]
        sure = f"its rank is {low} to {high}" if low != high else f"its rank is {low}"
        parts.append(f"First: {' and '.join(first)}; with cases drawn again {sure} in 95 % of the draws.")
    return " ".join(parts) or "Two runs, compared."


def _standings(ranking: Mapping[str, Any], setting: Setting, several: str) -> Section:
    table, rules = ranking["table"], ranking["rules"]
    metrics = list(rules["metrics"])
    heads = ["score", "95 % of ranks", "failed"]
    columns = [Column("rank"), Column("submission", number=False), *map(Column, heads)]
    for metric in metrics:
        columns += [Column(TITLES.get(metric, metric)), Column("rank")]
    best = {metric: _best(table, metric) for metric in metrics}
    lines = []
    for place, row in enumerate(table):
        low, high = row["rank_low"], row["rank_high"]
        cells = [Cell(str(row["rank"])), Cell(row["submission"], best=row["rank"] == 1), Cell(fixed(row["score"]))]
        cells += [Cell(f"{low}" if low == high else f"{low} to {high}"), Cell(str(row["failed"]))]
        for metric in metrics:
            cells += [Cell(_shown(metric, row[metric]), best=place in best[metric]), Cell(str(row[f"{metric}_rank"]))]
        lines.append(tuple(cells))
    note = (
        f"{counted(ranking['cases'], 'case')}. Score: {rules['aggregate']} of the ranks on each case by "
        f"{', '.join(TITLES.get(m, m) for m in metrics)}; the smallest wins. A failed case is last in every column; "
        "seconds and memory are means over cases that did not fail."
        if rules["scheme"] == "rank-then-aggregate"
        else f"{counted(ranking['cases'], 'case')}. Score: rank of the {rules['aggregate']} over all cases."
    )
    weights = {m: w for m, w in rules["metrics"].items() if w != 1}
    note += (
        f" Weights other than 1: {', '.join(f'{TITLES.get(m, m)} {w:g}' for m, w in weights.items())}."
        if weights
        else ""
    )
    note += "".join(f" Note: {text}." for text in ranking.get("notes") or ())
    return Section(
        f"Standings{several}",
        (
            Table(f"Standings{several}", tuple(columns), tuple(lines), note),
            _stability(ranking, setting),
            *_significance(ranking),
        ),
    )


def _best(table: Sequence[Mapping[str, Any]], metric: str) -> set[int]:
    return best_of([_shown(metric, row[metric]) for row in table], lower=metric in SHOW)


def _shown(metric: str, value: float | None) -> str:
    return SHOW.get(metric, fixed)(value)


def _stability(ranking: Mapping[str, Any], setting: Setting) -> Figure:
    names, stable = ranking["submissions"], ranking["stability"]
    order = [row["submission"] for row in ranking["table"]]
    frequency = {name: stable["frequency"][names.index(name)] for name in order}
    intervals = {row["submission"]: (row["rank_low"], row["rank_high"]) for row in ranking["table"]}
    told = [f"{name} {intervals[name][0]} to {intervals[name][1]}" for name in order]
    tau = stable.get("kendall_tau")
    caption = (
        f"The cases were drawn again{_draws(stable)}; each dot's area is how often a submission then had that rank, "
    )
    caption += "the grey bar the middle 95 % of its ranks."
    caption += f" Kendall's tau with the whole ranking: median {fixed(tau['median'], 2)}, " if tau else ""
    caption += f"2.5 % of draws below {fixed(tau['low'], 2)}." if tau else ""
    svg = ranks(frequency, intervals, setting.palette, wide=len(order) > 7)
    panel = Panel("Ranks of cases drawn again", svg, f"Middle 95 % of ranks: {', '.join(told)}.")
    return Figure("Rank stability", (panel,), caption)


def _draws(stable: Mapping[str, Any]) -> str:
    return f" {stable['draws']} times, seed {stable['seed']}" if "draws" in stable else ""


def _significance(ranking: Mapping[str, Any]) -> list[Figure]:
    names = ranking["submissions"]
    order = [row["submission"] for row in ranking["table"]]
    places = [names.index(name) for name in order]
    panels = []
    for metric, one in ranking["significance"].items():
        p = [[one["p"][i][j] for j in places] for i in places]
        better = [[one["better"][i][j] for j in places] for i in places]
        told = [
            f"{name} is better than {', '.join(o for o, yes in zip(order, line, strict=True) if yes)}"
            for name, line in zip(order, better, strict=True)
            if any(line)
        ]
        words = "; ".join(told) or "nobody is better than another beyond chance"
        panels.append(Panel(TITLES.get(metric, metric), duels(order, p, better), f"{words}."))
    if not panels or len(order) < 2:
        return []
    caption = (
        f"Dark: the submission of the row is better than that of the column, p < {ranking['alpha']:g} "
        "(one-sided Wilcoxon signed rank tests over the cases, corrected by Holm). Columns are numbered as rows are."
    )
    return [Figure("Who is better than whom", tuple(panels), caption)]


def _scores(names: Mapping[str, Run]) -> list[Table]:
    if not names:
        return []
    columns = [Column("submission", number=False), Column("DSC"), Column("NSD"), Column("seconds, median")]
    columns += [Column("memory, MB"), Column("ok"), Column("failed"), Column("cases")]
    found = [run.summary() for run in names.values()]
    texts = {
        "dsc": [fixed(one["dsc"]["mean"]) if one["dsc"] else NONE for one in found],
        "nsd": [fixed(one["nsd"]["mean"]) if one["nsd"] else NONE for one in found],
        "seconds": [seconds(one["seconds"]["median"]) if one["seconds"] else NONE for one in found],
        "memory": [SHOW["peak_memory"](one["peak_memory"]) for one in found],
    }
    best = {name: best_of(own, lower=name in ("seconds", "memory")) for name, own in texts.items()}
    lines = []
    for place, (name, one) in enumerate(zip(names, found, strict=True)):
        ok = one["statuses"].get(OK, 0)
        cells = [
            Cell(texts[m][place], _interval(one.get(m)) if m in ("dsc", "nsd") else "", place in best[m]) for m in texts
        ]
        lines.append((Cell(name), *cells, Cell(str(ok)), Cell(str(one["cases"] - ok)), Cell(str(one["cases"]))))
    tables = [Table("Overall", tuple(columns), tuple(lines), f"{CASES} Seconds and memory are of cases that are ok.")]
    modalities = {row.modality for run in names.values() for row in run.rows}
    if len(modalities) > 1:
        summaries = [_summary(name, run) for name, run in names.items()]
        tables += [by_group(summaries, metric, f"{metric.title} by modality", "cases") for metric in (DSC, NSD)]
    return tables


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
    cases = [row.case for row in rows]
    return {m: asdict(figure([getattr(row, m) for row in rows], [""] * len(rows), cases)) for m in ("dsc", "nsd")}


def _spread(names: Mapping[str, Run], setting: Setting) -> list[Figure]:
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
        caption = "One value a case; a failed one is 0. Box: quartiles and median; behind it the violin. n: cases."
        figures.append(Figure(f"{metric.title} by modality", tuple(panels), caption))
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


def _trade(names: Mapping[str, Run], setting: Setting) -> list[Figure]:
    points = {}
    for name, run in names.items():
        times = [row for row in run.rows if row.status == OK]
        values = [row.dsc for row in run.rows if row.dsc is not None]
        if times and values:
            points[name] = (_mean([row.seconds for row in times]), _mean(values))
    if not points:
        return []
    told = [f"{name} {fixed(value.mean)} in {seconds(time.mean)} s" for name, (time, value) in points.items()]
    svg = trade(points, setting.palette, "DSC", "seconds a case")
    panel = Panel("all cases", svg, f"DSC against seconds: {', '.join(told)}.")
    lacking = [name for name in names if name not in points]
    caption = "Means over cases with 95 % intervals; seconds with start-up, of cases that are ok."
    caption += f" Without a case that is ok: {listed(lacking)}." if lacking else ""
    return [Figure("DSC against seconds a case", (panel,), caption, tuple(points))]


def _mean(values: Sequence[float]) -> Estimate:
    one = figure(values, [""] * len(values), [str(number) for number in range(len(values))])
    return Estimate(one.mean, one.low, one.high)
