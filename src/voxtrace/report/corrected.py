"""The part of a report on `voxtrace bench interactive`: what each click mends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from voxtrace.bench.rounds import CLICKS, Rounds
from voxtrace.eval.bootstrap import SEED, Figure as Mean, figure
from voxtrace.report.blocks import Block, Cell, Column, Figure, Panel, Section, Table, Text, section
from voxtrace.report.drawing.curves import Scale, curves
from voxtrace.report.drawing.trade import Estimate
from voxtrace.report.numbers import best_of, counted, fixed, interval, listed, seconds
from voxtrace.report.provenance import facts, weights
from voxtrace.report.reading import Corrected
from voxtrace.report.scores import BEST, DSC, NSD, Metric, by_group
from voxtrace.report.setting import Setting
from voxtrace.report.sights import worst_cases

STEPS = ("box", *(f"click {number}" for number in range(1, CLICKS + 1)))
METRICS = (
    Metric("dsc_final", "DSC after the last click"),
    Metric("nsd_final", "NSD after the last click"),
    Metric("dsc_auc", "DSC_AUC, at most 4"),
    Metric("nsd_auc", "NSD_AUC, at most 4"),
    Metric("seconds_total", "seconds a case, all six steps", seconds, lower=True),
)
Means = dict[str, list[Mean]]


def corrected(run: Corrected, setting: Setting, title: str) -> Section:
    """Curves over the six steps, the figures of the protocol, and what else the run allows."""
    blocks: list[Block | Section | None] = [Text(_headline(run)), facts(run.lock)]
    if run.rounds:
        found = {metric: _means(run, metric.name) for metric in (DSC, NSD)}
        blocks.append(
            section("From click to click", _figure(found, setting), *(_steps(m, f) for m, f in found.items()))
        )
    tables = [by_group(run.summaries, metric, metric.title) for metric in METRICS if run.summaries]
    blocks.append(section("Figures", *tables, _failures(run.rounds)))
    caption = "Of each model the worst case of each set first; of a case its worst object after the last click."
    blocks.append(section("Worst cases", *worst_cases(run.sights, setting, caption)))
    blocks.append(section("Provenance", weights((run.lock,))))
    return Section(title, tuple(block for block in blocks if block is not None))


def _headline(run: Corrected) -> str:
    models = list(dict.fromkeys(one["model"] for one in run.summaries))
    cases = counted(len({one.case for one in run.rounds}), "case")
    final = [f"{one['model']} {fixed(one['overall']['dsc_final']['mean'])}" for one in run.summaries]
    told = f"DSC after the last click: {', '.join(final)}." if final else ""
    return f"{listed(models)}: a box, then five clicks where the mask is most wrong, on {cases}. {told}".strip()


def _means(run: Corrected, metric: str) -> Means:
    """{model: mean and interval after each step}: over sets, drawing patients, with the run's seed."""
    seed = (run.lock.get("plan") or {}).get("seed", SEED)
    found: Means = {}
    for model in dict.fromkeys(_name(one) for one in run.rounds):
        own = [one for one in run.rounds if _name(one) == model]
        sets, patients = [one.set for one in own], [one.patient for one in own]
        found[model] = [
            figure([getattr(one, metric)[step] for one in own], sets, patients, seed=seed) for step in range(len(STEPS))
        ]
    return found


def _figure(found: Mapping[Metric, Means], setting: Setting) -> Figure:
    panels = []
    for metric, means in found.items():
        lines = {
            model: {float(step): Estimate(one.mean, one.low, one.high) for step, one in enumerate(own)}
            for model, own in means.items()
        }
        scale = Scale(
            range(len(STEPS)), ("box", *map(str, range(1, CLICKS + 1))), "after the box, then after each click"
        )
        told = [f"{model} from {fixed(own[0].mean)} to {fixed(own[-1].mean)}" for model, own in means.items()]
        svg = curves(lines, setting.palette, scale, metric.title)
        panels.append(Panel(metric.title, svg, f"{metric.title} after each step: {', '.join(told)}."))
    models = tuple(next(iter(found.values())))
    caption = "Mean over sets with 95 % intervals from drawing patients; NSD counts as 0 where DSC is at most 0.2."
    return Figure("From click to click", tuple(panels), caption, models)


def _steps(metric: Metric, means: Means) -> Table:
    lines: list[tuple[Cell, ...] | str] = []
    for step, name in enumerate(STEPS):
        at = [own[step] for own in means.values()]
        best = best_of([fixed(one.mean) for one in at])
        cells = [Cell(fixed(one.mean), interval(asdict(one)), place in best) for place, one in enumerate(at)]
        lines.append((Cell(name), *cells))
    columns = (Column("after", number=False), *(Column(model, model=model) for model in means))
    return Table(f"{metric.title} after each step", columns, tuple(lines), BEST if len(means) > 1 else "")


def _failures(rounds: Sequence[Rounds]) -> Table | None:
    lost = [one for one in rounds if one.status != "done"]
    if not lost:
        return None
    lines = tuple(tuple(map(Cell, (one.model, one.set, one.case, one.error))) for one in lost)
    columns = tuple(Column(name, number=False) for name in ("model", "set", "case", "what happened"))
    return Table(f"{counted(len(lost), 'case')} failed", columns, lines, "Steps that gave nothing count as 0.")


def _name(one: Rounds) -> str:
    return f"{one.model}, z range told" if one.z_range else one.model
