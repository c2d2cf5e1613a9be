"""A report as one HTML file: it needs no network, no script and no other file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from importlib import resources

from voxtrace.report.blocks import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Facts,
    Figure,
    Panel,
    Pictures,
    Section,
    Table,
    Text,
)
from voxtrace.report.palette import Palette
from voxtrace.report.signs import line_sign, sign

WIDE = 9  # columns; more of them are printed small


def page(document: Document, palette: Palette) -> str:
    """The whole file. Every text is escaped: a name is a name, whatever is in it."""
    title = escape(document.title)
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    parts = ['<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">']
    parts.append('<meta name="viewport" content="width=device-width, initial-scale=1">')
    parts.append(f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>")
    parts += [_block(block, palette, "") for block in document.lead]
    parts.append(_contents(document))
    for number, part in enumerate(document.sections, 1):
        parts += _section(part, f"s{number}", 2, palette)
    parts.append("</main>\n</body>\n</html>\n")
    return "\n".join(parts)


def _contents(document: Document) -> str:
    lines = []
    for number, part in enumerate(document.sections, 1):
        inner = [block for block in part.blocks if isinstance(block, Section)]
        links = "".join(_link(f"s{number}-{place}", one.title) for place, one in enumerate(inner, 1))
        lines.append(f'<li><a href="#s{number}">{escape(part.title)}</a>{f"<ul>{links}</ul>" if links else ""}</li>')
    return f'<nav aria-label="Contents">\n<ul>\n{chr(10).join(lines)}\n</ul>\n</nav>'


def _link(place: str, title: str) -> str:
    return f'<li><a href="#{place}">{escape(title)}</a></li>'


def _section(part: Section, place: str, level: int, palette: Palette) -> Iterator[str]:
    yield f'<section id="{place}">\n<h{level}>{escape(part.title)}</h{level}>'
    inner = 0
    for block in part.blocks:
        if isinstance(block, Section):
            inner += 1
            yield from _section(block, f"{place}-{inner}", level + 1, palette)
        else:
            yield _block(block, palette, part.title)
    yield "</section>"


def _block(block: Block, palette: Palette, under: str) -> str:
    match block:
        case Text():
            return f"<p>{escape(block.text)}</p>"
        case Bullets():
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in block.items)}</ul>"
        case Facts():
            pairs = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in block.pairs)
            return f"<dl>{pairs}</dl>"
        case Table():
            return _table(block, palette, under)
        case Figure():
            return _figure(block, palette, under)
        case Pictures():
            return _pictures(block, under)


def _title(title: str, under: str) -> str:
    """A block's title, unless it is what the section is called."""
    return "" if title == under else f"<h4>{escape(title)}</h4>\n"


def _table(table: Table, palette: Palette, under: str) -> str:
    head = "".join(_head(column, _longest(table, place), palette) for place, column in enumerate(table.columns))
    body = "\n".join(_row(row, table.columns) for row in table.rows)
    label = escape(table.title)
    wide = ' class="wide"' if len(table.columns) > WIDE else ""
    note = f'\n<p class="note">{escape(table.note)}</p>' if table.note else ""
    inner = f'<table{wide} aria-label="{label}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>'
    scroll = f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n{inner}\n</div>'
    return f'<div class="table">\n{_title(table.title, under)}{scroll}{note}\n</div>'


def _head(column: Column, longest: int, palette: Palette) -> str:
    """A column of texts has room for its longest one, as far as the style allows it."""
    name = _marked(column.name, sign(palette.of(column.model))) if column.model else escape(column.name)
    room = "" if column.number else f' style="--ch: {longest}"'
    return f'<th scope="col"{_align(column)}{room}>{name}</th>'


def _marked(name: str, mark: str) -> str:
    """The sign stays on the line of the name's first word, if that is no word without end."""
    first = re.match(r"[^\s_/-]{1,16}(?:[\s_/-]|$)", name)
    end = first.end() if first else 0
    return f'<span class="whole">{mark} {escape(name[:end])}</span>{escape(name[end:])}'


def _longest(table: Table, place: int) -> int:
    return max((len(row[place].text) for row in table.rows if not isinstance(row, str)), default=0)


def _align(column: Column) -> str:
    return ' class="number"' if column.number else ""


def _row(row: tuple[Cell, ...] | str, columns: tuple[Column, ...]) -> str:
    if isinstance(row, str):
        return f'<tr class="divider"><th colspan="{len(columns)}" scope="colgroup"><span>{escape(row)}</span></th></tr>'
    cells = []
    for place, (cell, column) in enumerate(zip(row, columns, strict=True)):
        tag = 'th scope="row"' if place == 0 else "td"
        cells.append(f"<{tag}{_align(column)}>{_cell(cell)}</{tag.split()[0]}>")
    return f"<tr>{''.join(cells)}</tr>"


def _cell(cell: Cell) -> str:
    text = f"<strong>{escape(cell.text)}</strong>" if cell.best else escape(cell.text)
    return f"{text} <small>{escape(cell.detail)}</small>" if cell.detail else text


def _figure(figure: Figure, palette: Palette, under: str) -> str:
    panels = "\n".join(_panel(panel, len(figure.panels) > 1 or panel.title != figure.title) for panel in figure.panels)
    legend = ""
    if figure.models:
        items = "".join(f"<li>{line_sign(palette.of(name))} {escape(name)}</li>" for name in figure.models)
        legend = f'\n<ul class="legend">{items}</ul>'
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>" if figure.caption else ""
    body = f'<div class="panels">\n{panels}\n</div>{legend}\n{caption}'
    return f'<figure class="plots">\n{_title(figure.title, under)}{body}\n</figure>'


def _panel(panel: Panel, titled: bool) -> str:
    title = f"<h5>{escape(panel.title)}</h5>" if titled and panel.title else ""
    return f'<div class="panel">{title}<div class="scroll">{_drawing(panel)}</div></div>'


def _drawing(panel: Panel) -> str:
    return panel.svg.replace("<svg ", f'<svg role="img" aria-label="{escape(panel.description)}" ', 1)


def _under(panel: Panel) -> str:
    return f"<p>{escape(panel.title)}</p>" if panel.title else ""


def _pictures(block: Pictures, under: str) -> str:
    cases = []
    for picture in block.pictures:
        frames = "".join(f'<div class="frame">{_drawing(one)}{_under(one)}</div>' for one in picture.frames)
        lines = "".join(f"<br>{escape(line)}" for line in picture.lines)
        caption = f"<figcaption><b>{escape(picture.title)}</b>{lines}</figcaption>"
        cases.append(f'<figure class="case"><div class="frames">{frames}</div>{caption}</figure>')
    note = f'<p class="note">{escape(block.caption)}</p>' if block.caption else ""
    joined = "\n".join(cases)
    return f'{_title(block.title, under)}{block.key}{note}\n<div class="cases">\n{joined}\n</div>'
