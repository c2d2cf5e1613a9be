"""Tables of figures: models side by side, the best of each line marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtrace.eval.results import Row
from voxtrace.report.blocks import Cell, Column, Table
from voxtrace.report.numbers import NONE, best_of, counted, fixed, interval, seconds

Summary = Mapping[str, Any]
GROUPS = (("by_kind", "By kind"), ("by_modality", "By modality"), ("by_set", "By set"))
BEST = "Bold: the best mean of the line, equal ones too; where intervals overlap it may be by chance."


@dataclass(frozen=True, slots=True)
class Metric:
    """How a metric is called and shown. lower: whether less is better."""

    name: str
    title: str
    show: Callable[[float | None], str] = fixed
    lower: bool = False


DSC, NSD, IOU = Metric("dsc", "DSC"), Metric("nsd", "NSD"), Metric("iou", "IoU")
SECONDS = Metric("seconds", "seconds an object", seconds, lower=True)


def ways(found: Iterable[Summary]) -> dict[str, list[Summary]]:
    """Summaries by how was asked, in the order of the run."""
    by_way: dict[str, list[Summary]] = {}
    for one in found:
        by_way.setdefault(way_name(one["prompt"], one["z_range"]), []).append(one)
    return by_way


def way_name(prompt: str, z_range: bool) -> str:
    """As a person would say it."""
    return f"{prompt}, z range told" if z_range else prompt


def overall(found: Sequence[Summary], rows: Sequence[Row], title: str = "Overall") -> Table:
    """A line for each model under each way of asking."""
    metrics = (DSC, NSD, IOU, SECONDS)
    memory: dict[tuple[str, str, bool], float] = {}
    for row in rows:
        if row.peak_mb is not None:
            memory[row.contender] = max(memory.get(row.contender, 0.0), row.peak_mb)
    columns = [Column("model", number=False), *(Column(metric.title) for metric in metrics)]
    columns += [Column("memory, MB")] * bool(memory) + [Column("failed"), Column("patients")]
    by_way, lines = ways(found), list[tuple[Cell, ...] | str]()
    for way, own in by_way.items():
        if len(by_way) > 1:
            lines.append(f"Asked by {way}")
        marked = {metric.name: _best([one["overall"] for one in own], metric) for metric in metrics}
        for place, one in enumerate(own):
            cells = [figure_cell(one["overall"], metric, place in marked[metric.name]) for metric in metrics]
            peak = memory.get((one["model"], one["prompt"], one["z_range"]))
            cells += [Cell(fixed(peak, 0))] * bool(memory)
            cells += [Cell(str(one.get("failed", 0))), Cell(str(_patients(one["overall"])))]
            lines.append((Cell(one["model"]), *cells))
    note = "Means over sets (of their cases' means) with 95 % intervals from drawing patients. " + (
        "Bold: the best of those asked alike about as many patients." if len(found) > 1 else ""
    )
    return Table(title, tuple(columns), tuple(lines), note.strip())


def by_group(found: Sequence[Summary], metric: Metric, title: str, count: str = "patients") -> Table:
    """A line for each kind, modality and set; a column for each model. All of one way of asking. count: what n is."""
    lines: list[tuple[Cell, ...] | str] = [_line("all", [one["overall"] for one in found], metric)]
    for group, name in GROUPS:
        keys = sorted({key for one in found for key in one[group]})
        if len(keys) > 1 or (keys and group != "by_kind"):
            lines.append(name)
            lines += [_line(key, [one[group].get(key) for one in found], metric) for key in keys]
    models = tuple(Column(one["model"], model=one["model"]) for one in found)
    columns = (Column("", number=False), *models, Column(count))
    return Table(title, columns, tuple(lines), BEST if len(found) > 1 else "")


def _line(name: str, figures: Sequence[Mapping[str, Any] | None], metric: Metric) -> tuple[Cell, ...]:
    """Figures of fewer patients than the line's most say so, and are not compared."""
    best, most = _best(figures, metric), max(_patients(one) for one in figures)
    cells = []
    for place, one in enumerate(figures):
        cell = figure_cell(one, metric, place in best)
        if one is not None and _patients(one) < most:
            cell = Cell(cell.text, f"{cell.detail} of {_patients(one)}".strip(), cell.best)
        cells.append(cell)
    return (Cell(name), *cells, Cell(str(most)))


def figure_cell(figures: Mapping[str, Any] | None, metric: Metric, best: bool = False) -> Cell:
    """A mean and its interval."""
    one = (figures or {}).get(metric.name)
    if one is None:
        return Cell(NONE)
    if metric.show is fixed:
        return Cell(fixed(one["mean"]), interval(one), best)
    edges = f"({metric.show(one['low'])}–{metric.show(one['high'])})" if one["n"] > 1 else ""
    return Cell(metric.show(one["mean"]), edges, best)


def _best(figures: Sequence[Mapping[str, Any] | None], metric: Metric) -> set[int]:
    most = max((_patients(one) for one in figures), default=0)
    texts = [
        metric.show(one[metric.name]["mean"]) if one and metric.name in one and _patients(one) == most else NONE
        for one in figures
    ]
    return best_of(texts, metric.lower)


def _patients(figures: Mapping[str, Any] | None) -> int:
    return max((one["n"] for one in (figures or {}).values()), default=0)


def failures(rows: Sequence[Row], most: int = 40) -> Table | None:
    """The objects that could not be found because something broke; None if there are none."""
    lost = [row for row in rows if row.status != "done"]
    if not lost:
        return None
    names = ("model", "asked by", "set", "case", "object", "what happened")
    lines = tuple(
        tuple(map(Cell, (r.model, way_name(r.prompt, r.z_range), r.set, r.case, str(r.object or "all"), r.error)))
        for r in lost[:most]
    )
    left = f" The first {most} are listed; results.csv has all." if len(lost) > most else ""
    columns = tuple(Column(name, number=name == "object") for name in names)
    return Table(f"{counted(len(lost), 'object')} failed", columns, lines, f"Each counts as 0 in every mean.{left}")
