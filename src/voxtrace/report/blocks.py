"""What a report is made of: sections of texts, facts, tables, figures and pictures. How it looks is not known here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they stand for."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """text: what is read; detail: set smaller behind it, such as an interval; best: of those it is compared with."""

    text: str = ""
    detail: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """number: set to the right, digits below digits. model: whose sign stands beside the name, "" for none."""

    name: str
    number: bool = True
    model: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as there are columns; a row that is a text divides those before from those after."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...] | str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing. description: what is on it, in words, for who cannot see it."""

    title: str
    svg: str
    description: str


@dataclass(frozen=True, slots=True)
class Figure:
    """Drawings side by side that share a caption, and the signs of the models on them."""

    title: str
    panels: tuple[Panel, ...]
    caption: str
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """One case that is shown: drawings of its frames, what each is, and lines about it."""

    title: str
    frames: tuple[Panel, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Cases side by side."""

    title: str
    pictures: tuple[Picture, ...]
    caption: str
    key: str = ""  # a drawing that explains the lines


Block = Text | Bullets | Facts | Table | Figure | Pictures


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block | Section, ...]

    def walk(self) -> Iterator[Block]:
        """All blocks in reading order, those of the sections within too."""
        for block in self.blocks:
            if isinstance(block, Section):
                yield from block.walk()
            else:
                yield block


@dataclass(frozen=True, slots=True)
class Document:
    """The whole report. lead: what it comes to, a line for each thing measured."""

    title: str
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]


def section(title: str, *blocks: Block | Section | None) -> Section | None:
    """A section of what there is; None if there is nothing."""
    there = tuple(block for block in blocks if block is not None)
    return Section(title, there) if there else None
