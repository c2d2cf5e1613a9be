"""Standings of a challenge: the table, how stable the ranks are, and who is better than whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.bench.challenge.runs import Run
from voxtrace.bench.challenge.standings import DEFAULT_METRICS, standings, unique_names
from voxtrace.report.blocks import Cell, Column, Figure, Panel, Section, Table
from voxtrace.report.drawing.duels import duels
from voxtrace.report.drawing.ranks import ranks
from voxtrace.report.numbers import best_of, counted, fixed, memory, seconds
from voxtrace.report.setting import Setting

SHOW = {"seconds": seconds, "peak_memory": memory}
TITLES = {"dsc": "DSC", "nsd": "NSD", "seconds": "seconds", "peak_memory": "memory, MB"}


def ranked(runs: Sequence[Run]) -> list[tuple[str, dict[str, Any]]]:
    """Where no ranking was given: that of `voxtrace challenge rank` by default, over what was scored."""
    if len(runs) < 2 or len(set(unique_names(runs))) < len(runs):
        return []
    scored = all(row.dsc is not None for run in runs for row in run.rows)
    return [("", standings(runs, DEFAULT_METRICS if scored else {"seconds": 1.0}).to_json())]


def standing(ranking: Mapping[str, Any], setting: Setting, several: str) -> Section:
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
    panel = Panel("", svg, f"Middle 95 % of ranks: {', '.join(told)}.")
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
