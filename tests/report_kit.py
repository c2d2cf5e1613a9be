"""What the tests of the report share: folders of results made by hand, and a page taken apart."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from voxtrace.eval.results import Row, write_results
from voxtrace.eval.summary import summaries

DATA = {"s/1": "aa", "s/2": "bb"}


def row(model: str = "ours", dsc: float = 0.5, **more: Any) -> Row:
    """An object of a case; NSD is half its DSC."""
    given: dict[str, Any] = {"prompt": "box", "z_range": False, "set": "s", "case": "s/1", "object": 1, "kind": "image"}
    given |= {"modality": "ct", "patient": more.get("case", "s/1"), "status": "done", "nsd": dsc / 2, "iou": dsc / 2}
    given |= {"hd95": 1.0, "assd": 1.0, "seconds": 0.25, "peak_mb": 100.0}
    return Row(model=model, dsc=dsc, **given | more)


def lock(what: str = "evaluate", **more: Any) -> dict[str, Any]:
    """A lock as a run writes it."""
    settings = {"voxtrace": "1.2.3", "versions": {"python": "3.11"}, "objects": 12, "tolerance": 2.0, "seed": 0}
    settings |= {"weights": {"ours": {"sha256": "c0ffee", "net": "small", "image_size": 96}}, "data_sha256": DATA}
    machine = {"system": "Linux", "machine": "x86_64", "processor": "abacus", "cores": 2}
    whole = {"what": what, "command": ["evaluate", "--data", "a b"], "code_sha256": "feed" * 16, "machine": machine}
    plan = {"split": "val", "kind": None, "objects": 12, "tolerance": 2.0, "seed": 0}
    return whole | {"plan": plan, "settings": settings | more}


def write_run(folder: Path, *rows: Row, what: str = "evaluate", **more: Any) -> Path:
    """The folder that `voxtrace evaluate` would have written."""
    folder.mkdir(parents=True)
    (folder / "lock.json").write_text(json.dumps(lock(what, **more)))
    (folder / "summaries.json").write_text(json.dumps(summaries(rows)))
    write_results(folder, rows)
    return folder


class Page(HTMLParser):
    """tags: of all elements; links: what src and href lead to; words: all text, without styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.bold: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words += data
        if self._open[-1:] == ["strong"]:
            self.bold.append(data)


def table_of(markdown: str, title: str) -> list[list[str]]:
    """The cells of the Markdown table under a title or heading, its head first, without the line of dashes."""
    lines = markdown.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip("#* ") == title and line[0] in "#*")
    rows = []
    for line in lines[start + 1 :]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif rows:
            break
    return [cells for cells in rows if not set("".join(cells)) <= set("-:|")]
