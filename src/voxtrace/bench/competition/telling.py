"""The competition as Markdown: standings, what each submission did, misdeeds, and how far a second run agrees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtrace.bench.competition.holding import Held


def markdown(held: Held) -> str:
    """The whole page."""
    return "\n".join(_lines(held)) + "\n"


def _lines(held: Held) -> Iterator[str]:
    found, first = held.standings, held.runs[0]
    limits, sandbox = first.settings["limits"], first.settings["sandbox"]
    yield "# A mock competition"
    yield ""
    yield (
        f"{len(held.runs)} submissions on {len(found.cases)} cases, each in a sandbox ({sandbox}) with "
        f"{limits['memory'] / 2**30:g} GB, {limits['cpus'] or 'all'} processors, {limits['seconds']:g} s and "
        f"{limits['disk'] / 2**20:g} MB to write. {first.machine['processor']}, Python {first.machine['python']}."
    )
    yield ""
    yield from _standings(held)
    yield from _statuses(held)
    yield from _misdeeds(held)
    yield from _reproduction(held)
    yield from _cases(held)


def _standings(held: Held) -> Iterator[str]:
    yield "## Standings"
    yield ""
    rows = []
    for row in held.standings.table():
        low, high = row["rank_low"], row["rank_high"]
        spread = f"{low}" if low == high else f"{low} to {high}"
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.2f}"
        figures = (f"{row['score']:.2f}", spread, f"{row['dsc']:.3f}", f"{row['nsd']:.3f}", seconds, row["failed"])
        rows.append((row["rank"], row["submission"], *figures))
    head = ("rank", "submission", "mean rank", "95 % of ranks", "DSC", "NSD", "seconds", "failed")
    yield from _table(head, rows)
    tau = held.standings.to_json()["stability"]["kendall_tau"]
    if tau:
        yield f"Kendall's tau with the cases drawn again: median {tau['median']:.2f}, 2.5 % below {tau['low']:.2f}."
    for one in held.standings.significance:
        for i, name in enumerate(held.standings.names):
            beaten = [other for j, other in enumerate(held.standings.names) if one.better[i, j]]
            if beaten:
                yield f"- {one.metric}: {name} is better than {', '.join(beaten)}"
    yield ""


def _statuses(held: Held) -> Iterator[str]:
    yield "## What each did"
    yield ""
    rows = []
    for run in held.runs:
        summary = run.summary()
        counts = ", ".join(f"{count} {status}" for status, count in summary["statuses"].items())
        seconds = f"{summary['seconds']['median']:.2f}" if summary["seconds"] else ""
        memory = f"{summary['peak_memory'] / 2**20:.0f}" if summary["peak_memory"] else ""
        rows.append((run.name, counts, seconds, memory))
    yield from _table(("submission", "cases", "median seconds", "most MB"), rows)


def _misdeeds(held: Held) -> Iterator[str]:
    if not held.misdeeds:
        return
    yield "## Misdeeds"
    yield ""
    rows = []
    for one in held.misdeeds:
        memory = "" if one.peak_memory is None else f"{one.peak_memory / 2**20:.0f}"
        rows.append((one.deed, one.status, one.message, f"{one.seconds:.1f}", memory))
    yield from _table(("it", "recorded as", "message", "seconds", "MB"), rows)
    escaped = held.misdeeds[0].escaped
    told = f"Left behind: {', '.join(escaped)}." if escaped else "No file and no process of it was left on the machine."
    yield from (told, "")


def _reproduction(held: Held) -> Iterator[str]:
    found, change = held.reproduction, held.comparison
    if found:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in found["counts"].items())
        yield "## Run again"
        yield ""
        yield f"{found['second']} against {found['first']}: {counts}. Largest time ratio: {_ratio(found['largest'])}."
        yield from (f"- changed: {line}" for line in found["changed"])
        yield ""
    if change and change["speed_up"]:
        dsc = next(one for one in change["changes"] if one["metric"] == "dsc")["mean"]
        interval = f"{dsc['mean']:+.4f} ({dsc['low']:+.4f} to {dsc['high']:+.4f})"
        yield f"{change['after']} against {change['before']}: {change['speed_up']:.2f} times as fast, DSC {interval}."
        yield ""


def _cases(held: Held) -> Iterator[str]:
    yield "## Cases"
    yield ""
    yield from _table(("case", "made from", "objects"), [(one.name, one.source, one.objects) for one in held.made])


def _ratio(largest: dict[str, float | None]) -> str:
    return "unknown" if largest["seconds_ratio"] is None else f"{largest['seconds_ratio']:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows)
    yield ""
