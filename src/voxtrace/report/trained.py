"""A report on a training, from what it left in its folder: log.csv, run.json and pictures/."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from voxtrace.report.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Facts,
    Figure,
    Panel,
    Section,
    Table,
    Text,
    section,
)
from voxtrace.report.making import require_matplotlib
from voxtrace.report.palette import Palette
from voxtrace.report.training_log import LAST, LOG, Row, at_the_end, by_kind, read_run, read_steps

PICTURES = "pictures"
NAME = "report.html"
WAYS = {"clip": "as sessions ask", "loose": "by a click alone", "set": "one picture for a set"}


def trained(folder: Path, palette: Palette) -> Document:
    """The report's content. Raises CaseMissingError for a folder without a training, MissingDependencyError without
    matplotlib."""
    require_matplotlib()
    run, rows = read_run(folder), read_steps(folder / LOG)
    recipe = run["recipe"]
    title = f"Training of {recipe['name']}"
    if not rows:
        return Document(title, (Text("No step has been taken yet."),), (_setting(run),))
    sections = (_course(rows, palette), _kinds(rows, palette), _pictures(folder), _data(run, rows), _recipe(recipe))
    return Document(title, (_lead(run, rows),), (*(one for one in sections if one is not None), _setting(run)))


def report(folder: Path) -> Path:
    """Write report.html into the training's folder and return its path. Raises as `trained` does."""
    from voxtrace.bench.files import write_text
    from voxtrace.report.page import page

    palette = Palette(["all"])
    write_text(folder / NAME, page(trained(folder, palette), palette))
    return folder / NAME


def _lead(run: dict[str, Any], rows: Sequence[Row]) -> Facts:
    end = at_the_end(rows)
    told = [("State", "finished" if run["finished"] else "not finished: the same command goes on")]
    told.append(("Steps", f"{rows[-1].step:,} in {_minutes(rows[-1].seconds)}"))
    if end:
        told.append((f"Loss of the last {LAST:.0%} of steps", f"{_mean([row.loss or 0.0 for row in end]):.3f}"))
        told.append((f"Dice of the last {LAST:.0%}, on training clips", f"{_mean([row.dice for row in end]):.3f}"))
    cases, sets = sum(run["cases"].values()), len(run["cases"])
    told.append(("Cases", f"{cases} of {sets} set{'s' * (sets != 1)}, {len(run['left_out'])} left out"))
    return Facts(tuple(told))


def _course(rows: Sequence[Row], palette: Palette) -> Section | None:
    from voxtrace.report.drawing.course import course

    taught = [row for row in rows if row.loss is not None]
    if not taught:
        return None
    steps = [row.step for row in taught]
    panels = [
        Panel(title, course({"all": (steps, values)}, palette, limits), f"{title} over {len(steps)} steps")
        for title, values, limits in (
            ("Loss", [row.loss or 0.0 for row in taught], (0, None)),
            ("Dice on training clips", [row.dice for row in taught], (0, 1)),
            ("Learning rate", [row.rate for row in taught], (0, None)),
        )
    ]
    caption = (
        "Each point is the mean of equally many steps. Clips of all lengths, drawn anew for each step and augmented: "
        "curves jump with what was drawn. How good the net is on unseen cases `voxtrace evaluate` tells."
    )
    return section("Course", Figure("Course", tuple(panels), caption))


def _kinds(rows: Sequence[Row], palette: Palette) -> Section | None:
    from voxtrace.report.drawing.course import course

    kinds = by_kind(rows)
    if not kinds:
        return None
    lines = []
    for name, own in kinds.items():
        end = at_the_end(own)
        loss, dice = _mean([row.loss or 0.0 for row in end]), _mean([row.dice for row in end])
        figures = (f"{len(own):,}", f"{loss:.3f}", f"{dice:.3f}")
        lines.append((Cell(name), Cell(WAYS.get(own[0].way, "")), *map(Cell, figures)))
    words = [Column(title, number=False) for title in ("Clips", "Asked for")]
    columns = (*words, Column("Steps"), Column("Loss"), Column("Dice"))
    note = f"Loss and Dice: means of the last {LAST:.0%} of such steps."
    table = Table("By clip length and way", columns, tuple(lines), note)
    curves = {name: ([row.step for row in own], [row.dice for row in own]) for name, own in list(kinds.items())[:7]}
    panel = Panel("Dice", course(curves, palette, (0, 1)), "Dice over the steps by kind of clip")
    return section("Kinds of clips", table, Figure("Dice by kind of clip", (panel,), "", tuple(curves)))


def _pictures(folder: Path) -> Section | None:
    """The first and the last sheet."""
    sheets = sorted((folder / PICTURES).glob("*.png"))
    chosen = dict.fromkeys([*sheets[:1], *sheets[-1:]])
    blocks = [
        Figure(f"After step {int(path.stem):,}", (Panel("", _embedded(path), "Clips with outlines"),), "")
        for path in chosen
        if path.stem.isdigit()
    ]
    words = (
        "A row is a clip that the net is asked about with a box on its first frame; then it follows. Blue: the truth, "
        "amber: the net. The number is the frame's Dice."
    )
    return section("What it draws", Text(words), *blocks) if blocks else None


def _embedded(path: Path) -> str:
    with Image.open(path) as picture:
        wide, tall = picture.size
    text = base64.b64encode(path.read_bytes()).decode()
    head = f'<svg class="sheet" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}"'
    return f'{head}><image width="{wide}" height="{tall}" href="data:image/png;base64,{text}"/></svg>'


def _data(run: dict[str, Any], rows: Sequence[Row]) -> Section | None:
    drawn = Counter(name for row in rows for name in row.sets)
    names = [*run["cases"], *(name for name in drawn if name not in run["cases"])]
    total = sum(drawn.values()) or 1
    lines = tuple(
        (Cell(name), Cell(str(run["cases"].get(name, "-"))), Cell(f"{drawn[name]:,}", f"{drawn[name] / total:.0%}"))
        for name in names
    )
    columns = (Column("Set", number=False), Column("Cases"), Column("Clips drawn"))
    lost = tuple(f"{name}: {why}" for name, why in run["left_out"].items())
    blocks: list[Block] = [Table("Cases", columns, lines)]
    blocks += [Text(f"{len(lost)} cases were left out because they cannot be used:"), Bullets(lost)] if lost else []
    facts = tuple((name, str(run[name])) for name in ("data", "split", "licences", "data_sha256") if name in run)
    return section("Data", *blocks, Facts(facts) if facts else None)


def _recipe(recipe: dict[str, Any]) -> Section | None:
    return section("Recipe", Facts(tuple(_flat(recipe))))


def _flat(table: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        nested = isinstance(value, dict) and bool(value)
        found += _flat(value, f"{before}{key}.") if nested else [(f"{before}{key}", str(value))]
    return found


def _setting(run: dict[str, Any]) -> Section:
    facts = [(name, str(value)) for name, value in run["machine"].items()]
    facts += [("processes", str(run["processes"])), ("time", _minutes(run["seconds"]))]
    return Section("Machine and versions", (Facts(tuple(facts)),))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
