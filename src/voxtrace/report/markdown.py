"""A report as Markdown: the same texts and tables; of drawings what they show in words, of pictures nothing."""

from __future__ import annotations

from collections.abc import Iterator

from voxtrace.report.blocks import Block, Bullets, Cell, Document, Facts, Figure, Pictures, Section, Table, Text


def markdown(document: Document) -> str:
    """The whole file."""
    lines = [f"# {_plain(document.title)}", ""]
    for block in document.lead:
        lines += _block(block)
    for part in document.sections:
        lines += _section(part, 2)
    return "\n".join(lines).rstrip() + "\n"


def _section(part: Section, level: int) -> Iterator[str]:
    if all(isinstance(block, Pictures) for block in part.walk()):
        return
    yield f"{'#' * level} {_plain(part.title)}"
    yield ""
    for block in part.blocks:
        if isinstance(block, Section):
            yield from _section(block, level + 1)
        else:
            yield from _block(block, part.title)


def _block(block: Block, under: str = "") -> Iterator[str]:
    match block:
        case Text():
            yield from (_plain(block.text), "")
        case Bullets():
            yield from (f"- {_plain(item)}" for item in block.items)
            yield ""
        case Facts():
            yield from (f"- {_plain(name)}: {_plain(text)}" for name, text in block.pairs)
            yield ""
        case Table():
            yield from _table(block, under)
        case Figure():
            yield from _figure(block, under)


def _figure(figure: Figure, under: str) -> Iterator[str]:
    if figure.title != under:
        yield from (f"**{_plain(figure.title)}**", "")
    yield from (f"- {_plain(': '.join(filter(None, (one.title, one.description))))}" for one in figure.panels)
    yield ""
    if figure.caption:
        yield from (_plain(figure.caption), "")


def _table(table: Table, under: str) -> Iterator[str]:
    if table.title != under:
        yield from (f"**{_plain(table.title)}**", "")
    yield f"| {' | '.join(_plain(column.name) for column in table.columns)} |"
    yield f"|{'|'.join('---:' if column.number else '---' for column in table.columns)}|"
    for row in table.rows:
        cells = [f"*{_plain(row)}*"] + [""] * (len(table.columns) - 1) if isinstance(row, str) else map(_cell, row)
        yield f"| {' | '.join(cells)} |"
    yield ""
    if table.note:
        yield from (_plain(table.note), "")


def _cell(cell: Cell) -> str:
    text = f"**{_plain(cell.text)}**" if cell.best and cell.text else _plain(cell.text)
    return f"{text} {_plain(cell.detail)}".rstrip()


def _plain(text: str) -> str:
    """Nothing in a name is taken for Markdown or HTML."""
    line = " ".join(text.split())
    for character in "\\`*|[":
        line = line.replace(character, f"\\{character}")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
