"""From folders of results to a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from voxtrace import __version__
from voxtrace.bench.challenge.runs import Run
from voxtrace.errors import MissingDependencyError
from voxtrace.report.blocks import Block, Document, Facts, Section, Text
from voxtrace.report.reading import COMPARISON, RANKING, Contest, Corrected, Found, Measured, lock_of, read_folder

TITLE = "Results"
NAMES = {"evaluate": "Evaluation", "modalities": "Modalities", "robustness": "Robustness"}
Part = Measured | Corrected | Contest


@dataclass(frozen=True, slots=True)
class Report:
    """Both files, and what is in them."""

    html: str
    markdown: str
    document: Document = field(repr=False)


def make(folders: Sequence[Path], title: str = TITLE, pictures: bool = True, cases: Path | None = None) -> Report:
    """Read the folders and make the report. pictures: whether cases are shown; cases: of a challenge, to show them.

    Raises CaseMissingError for a folder without results, InputError for results that cannot be used, and
    MissingDependencyError without matplotlib.
    """
    require_matplotlib()
    from voxtrace.report.markdown import markdown
    from voxtrace.report.page import page
    from voxtrace.report.palette import Palette
    from voxtrace.report.setting import Setting

    parts = parts_of(folders)
    palette = Palette(name for part in parts for name in _models(part))
    setting = Setting(palette, pictures, cases)
    sections = tuple(_section(part, setting) for part in parts)
    lead = Facts(tuple((one.title, _first(one)) for one in sections))
    made = Text(f"Made by voxtrace {__version__} from the results alone.")
    document = Document(title, (lead, made), sections)
    return Report(page(document, palette), markdown(document), document)


def require_matplotlib() -> None:
    """Raise MissingDependencyError if it is not installed."""
    try:
        import contourpy
        import matplotlib  # noqa: F401

        del contourpy
    except ImportError:
        raise MissingDependencyError("matplotlib", "report", "a report") from None


def parts_of(folders: Sequence[Path]) -> list[Part]:
    """What the folders hold, in their order; all of a challenge is one part, and so are evaluations on the same cases
    of what is measured in one of them only."""
    parts: list[Part] = []
    contest = Contest()
    for folder in dict.fromkeys(path.resolve() for path in folders):
        for found in read_folder(folder):
            if isinstance(found, Measured | Corrected):
                parts.append(found)
            else:
                if not any(part is contest for part in parts):
                    parts.append(contest)
                _enter(contest, found)
    return list(_joined(parts))


def _enter(contest: Contest, found: Found) -> None:
    if isinstance(found, Run):
        contest.runs.append(found)
        contest.locks[str(found.folder)] = lock_of(found.folder)
    elif isinstance(found, tuple):
        what, name, content = found
        kind = {RANKING: contest.rankings, COMPARISON: contest.comparisons}.get(what, contest.reproductions)
        kind.append((name, content))


def _joined(parts: Sequence[Part]) -> Iterable[Part]:
    out: list[Part] = []
    for part in parts:
        place = next((i for i, one in enumerate(out) if _fit(one, part)), None)
        if place is None:
            out.append(part)
        else:
            out[place] = _together(out[place], part)  # type: ignore[arg-type]
    return out


def _fit(first: Part, second: Part) -> bool:
    """Whether two evaluations can stand in one table."""
    if not (isinstance(first, Measured) and isinstance(second, Measured)):
        return False
    if "robustness" in (first.what, second.what):
        return False
    keys = [
        (_of(one, "data_sha256"), *(_of(one, name) for name in ("objects", "tolerance", "seed")))
        for one in (first, second)
    ]
    same = keys[0] == keys[1] and bool(keys[0][0])
    return same and not (_contenders(first) & _contenders(second))


def _together(first: Measured, second: Measured) -> Measured:
    return replace(
        first,
        name=f"{first.name}, {second.name}",
        summaries=first.summaries + second.summaries,
        rows=first.rows + second.rows,
        sights=sorted(first.sights + second.sights, key=lambda one: (one.about["dsc"], one.about["case"])),
        locks=first.locks + second.locks,
    )


def _of(run: Measured, name: str) -> object:
    return (run.locks[0].get("settings") or {}).get(name)


def _contenders(run: Measured) -> set[tuple[str, str, bool]]:
    return {(one["model"], one["prompt"], one["z_range"]) for one in run.summaries}


def _models(part: Part) -> list[str]:
    from voxtrace.report.contest import named

    match part:
        case Measured():
            return [one["model"] for one in part.summaries]
        case Corrected():
            return [one["model"] for one in part.summaries]
        case Contest():
            ranked = [name for _, one in part.rankings for name in one["submissions"]]
            return [*ranked, *named(part.runs)]


def _section(part: Part, setting: object) -> Section:
    from voxtrace.report.contest import contest
    from voxtrace.report.corrected import corrected
    from voxtrace.report.faults import robustness
    from voxtrace.report.measured import measured
    from voxtrace.report.setting import Setting

    assert isinstance(setting, Setting)
    match part:
        case Measured(what="robustness"):
            return robustness(part, setting, f"Robustness: {part.name}")
        case Measured():
            return measured(part, setting, f"{NAMES.get(part.what, part.what.capitalize())}: {part.name}")
        case Corrected():
            return corrected(part, setting, f"Interactive: {part.name}")
        case Contest():
            return contest(part, setting)


def _first(part: Section) -> str:
    block: Block | Section = part.blocks[0]
    return block.text if isinstance(block, Text) else ""
