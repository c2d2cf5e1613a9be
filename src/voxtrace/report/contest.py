"""The part of a report on a challenge: standings and how sure they are, the submissions, who failed, two rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.bench.challenge.runs import Run
from voxtrace.bench.challenge.standings import unique_names
from voxtrace.report.blocks import Block, Facts, Section, Text, section
from voxtrace.report.entrants import scores, spreads, trades
from voxtrace.report.failing import failed_cases
from voxtrace.report.numbers import counted
from voxtrace.report.provenance import run_facts
from voxtrace.report.reading import Contest
from voxtrace.report.rounds import comparison_section, reproduction_section
from voxtrace.report.setting import Setting
from voxtrace.report.sights import worst_cases
from voxtrace.report.standing import ranked, standing
from voxtrace.report.submitted import challenge_sights


def contest(found: Contest, setting: Setting, title: str = "Challenge") -> Section:
    """All that the runs and rankings allow."""
    rankings = found.rankings or ranked(found.runs)
    names = in_order(named(found.runs), rankings)
    blocks: list[Block | Section | None] = [Text(_headline(names, rankings))]
    for name, ranking in rankings:
        several = f", {name}" if len(rankings) > 1 else ""
        blocks.append(standing(ranking, setting, several))
    blocks.append(
        section("Scores of the submissions", *scores(names), *spreads(names, setting), *trades(names, setting))
    )
    blocks.append(section("Failed and missing cases", failed_cases(names)))
    sights = challenge_sights(names, setting.cases) if setting.cases else []
    caption = "Of each submission its worst cases, by the object that it found worst. Cut to the object."
    blocks.append(section("Worst cases", *worst_cases(sights, setting, caption)))
    blocks += [comparison_section(name, one, setting) for name, one in found.comparisons]
    blocks += [reproduction_section(name, one) for name, one in found.reproductions]
    made = {name: run_facts(run, found.locks.get(str(run.folder), {})) for name, run in names.items()}
    blocks.append(section("Provenance", *_apart(made)))
    return Section(title, tuple(block for block in blocks if block is not None))


def named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by their submission's name; by their folder too where several have one name."""
    names = unique_names(runs)
    if len(set(names)) < len(names):
        names = tuple(f"{run.name} ({run.folder.parent.name}/{run.folder.name})" for run in runs)
    return dict(zip(names, runs, strict=True))


def in_order(names: Mapping[str, Run], rankings: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Run]:
    """As they stand in the first ranking; those that it lacks come last."""
    order = [row["submission"] for _, one in rankings[:1] for row in one["table"]]
    return {name: names[name] for name in (*(n for n in order if n in names), *(n for n in names if n not in order))}


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


def _apart(made: Mapping[str, Facts]) -> list[Block | Section]:
    """What all runs have in common, then the rest of each."""
    every = [set(facts.pairs) for facts in made.values()]
    common = set.intersection(*every) if len(every) > 1 else set()
    shared = tuple(pair for pair in next(iter(made.values())).pairs if pair in common) if made else ()
    own = {name: tuple(pair for pair in facts.pairs if pair not in common) for name, facts in made.items()}
    blocks: list[Block | Section] = [Facts(shared)] if shared else []
    return blocks + [Section(name, (Facts(pairs),)) for name, pairs in own.items() if pairs]
