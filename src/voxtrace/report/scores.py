"""Tables of figures: models side by side, the best of each line marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtrace.eval.results import DONE, Row
from voxtrace.report.blocks import Cell, Column, Table
from voxtrace.report.numbers import NONE, best_of, counted, fixed, interval, seconds

Summary = Mapping[str, Any]
GIVEN = "given"  # as the results call masks for which nothing was asked
GROUPS = (("by_kind", "By kind"), ("by_modality", "By modality"), ("by_set", "By set"))
BOXES = (
    "Box: quartiles and median; line: as far as 1.5 times their distance; violin behind it; dots: cases, "
    "of more than 25 those beyond the line. Box from 5 cases, violin from 10. n: cases."
)
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
    """How was asked, as a person would say it."""
    if prompt == GIVEN:
        return "masks made elsewhere"
    return f"asked by {prompt}, z range told" if z_range else f"asked by {prompt}"


def all_ways(found: Iterable[Summary]) -> str:
    """All ways of asking in a few words: asked by box, click and mask, with and without the z range."""
    asked = [(one["prompt"], one["z_range"]) for one in found]
    prompts = [prompt for prompt in dict.fromkeys(prompt for prompt, _ in asked) if prompt != GIVEN]
    if not prompts:
        return way_name(GIVEN, False)
    words = " and ".join(filter(None, (", ".join(prompts[:-1]), prompts[-1])))
    told = {z_range for _, z_range in asked}
    z_range = ", with and without the z range" if len(told) > 1 else ", z range told" if True in told else ""
    return f"asked by {words}{z_range}"


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
            lines.append(way.capitalize())
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


def by_group(found: Sequence[Summary], metric: Metric, title: str) -> Table:
    """A line for each kind, modality and set; a column for each model. All of one way of asking."""
    lines: list[tuple[Cell, ...] | str] = [_line("all", [one["overall"] for one in found], metric)]
    for group, name in GROUPS:
        keys = sorted({key for one in found for key in one[group]})
        if len(keys) > 1 or (keys and group != "by_kind"):
            lines.append(name)
            lines += [_line(key, [one[group].get(key) for one in found], metric) for key in keys]
    models = tuple(Column(one["model"], model=one["model"]) for one in found)
    columns = (Column("", number=False), *models, Column("patients"))
    return Table(title, columns, tuple(lines), BEST if len(found) > 1 else "")


def _line(name: str, figures: Sequence[Mapping[str, Any] | None], metric: Metric) -> tuple[Cell, ...]:
    most = max(_patients(one) for one in figures)
    return (Cell(name), *compared(figures, metric), Cell(str(most)))


def compared(figures: Sequence[Mapping[str, Any] | None], metric: Metric) -> list[Cell]:
    """Figures side by side, the best marked; those of fewer patients than the others say so, and are not compared."""
    best, most = _best(figures, metric), max(_patients(one) for one in figures)
    cells = []
    for place, one in enumerate(figures):
        cell = figure_cell(one, metric, place in best)
        if one is not None and _patients(one) < most:
            cell = Cell(cell.text, f"{cell.detail} of {_patients(one)}".strip(), cell.best)
        cells.append(cell)
    return cells


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
    lost = [row for row in rows if row.status != DONE]
    if not lost:
        return None
    names = ("model", "how", "set", "case", "object", "what happened")
    lines = tuple(
        tuple(map(Cell, (r.model, way_name(r.prompt, r.z_range), r.set, r.case, str(r.object or "all"), r.error)))
        for r in lost[:most]
    )
    left = f" The first {most} are listed; results.csv has all." if len(lost) > most else ""
    columns = tuple(Column(name, number=name == "object") for name in names)
    return Table(f"{counted(len(lost), 'object')} failed", columns, lines, f"Each counts as 0 in every mean.{left}")
