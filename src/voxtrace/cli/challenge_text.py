"""What `voxtrace challenge` tells a person: standings, verdicts, changes, as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from voxtrace.bench.challenge.boosting import Boost, Change
from voxtrace.bench.challenge.reproducing import GOOD, Reproduction
from voxtrace.bench.challenge.standings import Standings


def ranking_lines(found: Standings) -> Iterator[str]:
    """A table, then what bootstrap and tests say of it."""
    names = [metric.name for metric in found.metrics]
    width = max(len(name) for name in (*found.names, "submission"))
    columns = "".join(f"{name:>13}{'rank':>5}" for name in names)
    yield f"rank  {'submission':{width}}  {'score':>7}  {'95 % rank':>9}  {'failed':>6}{columns}"
    for row in found.table():
        low, high = row["rank_low"], row["rank_high"]
        spread = f"{low}" if low == high else f"{low} to {high}"
        values = "".join(f"{_number(name, row[name]):>13}{row[f'{name}_rank']:>5}" for name in names)
        place = f"{row['rank']:>4}  {row['submission']:{width}}"
        yield f"{place}  {row['score']:>7.3f}  {spread:>9}  {row['failed']:>6}{values}"
    yield ""
    yield f"{len(found.cases)} cases; score: {found.rules.aggregate} rank, the smaller the better"
    if summary := found.to_json()["stability"]["kendall_tau"]:
        yield f"Kendall's tau with cases drawn again: median {summary['median']:.2f}, 2.5 % below {summary['low']:.2f}"
    for one in found.significance:
        for i, name in enumerate(found.names):
            beaten = [other for j, other in enumerate(found.names) if one.better[i, j]]
            if beaten:
                yield f"{one.metric}: {name} is better than {', '.join(beaten)} (p < {found.alpha:g} after Holm)"
    yield from (f"note: {text}" for text in found.notes)


def reproduction_lines(found: Reproduction) -> Iterator[str]:
    """The verdict, then each case that is not reproduced, then what the runs' locks do not share."""
    counts = Counter(case.verdict for case in found.cases)
    verdict = "reproduced" if found.reproduced else "not reproduced"
    yield f"{verdict}: " + ", ".join(f"{count} {name}" for name, count in counts.items())
    time = "" if found.deltas.seconds_ratio is None else f", time up to x{found.deltas.seconds_ratio:g}"
    yield f"  counts as reproduced: DSC within {found.deltas.dsc:g}, NSD within {found.deltas.nsd:g}{time}"
    for case in found.cases:
        if case.verdict not in GOOD:
            yield f"  {case.case}: {case.why}"
    yield from (f"note: {text}" for text in found.notes)
    yield from (f"changed: {text}" for text in found.changed)


def boost_lines(found: Boost) -> Iterator[str]:
    """The changes over all cases, then by modality."""
    width = max([len(name) for name in found.by_modality], default=0) + 4
    head = f"{'before':>8}{'after':>8}{'change':>9}   95 % interval       better  equal  worse   p gain  p loss"
    yield f"{'':{width}}{head}"
    for change in found.changes:
        yield _change_line(change.metric.upper(), change, width)
    if found.speed_up is not None:
        yield f"time: {found.speed_up:.2f} times as fast"
    for name, changes in found.by_modality.items():
        for change in changes:
            yield _change_line(f"{name} {change.metric.upper()}", change, width)
    for word, cases in (("fails no longer", found.mended), ("fails now", found.broken)):
        yield from (f"{word}: {case}" for case in cases)
    yield from (f"note: {text}" for text in found.notes)


def _change_line(name: str, change: Change, width: int) -> str:
    mean = change.mean
    counts = f"{change.better:>8}{change.equal:>7}{change.worse:>7}"
    interval = f"{mean.low:+.4f} to {mean.high:+.4f}"
    tests = f"{change.p_gain:>9.3g}{change.p_loss:>8.3g}"
    return f"{name:{width}}{change.before:>8.4f}{change.after:>8.4f}{mean.mean:>+9.4f}   {interval:18}{counts}{tests}"


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return {"seconds": f"{value:.2f} s", "peak_memory": f"{value / 2**20:.0f} MB"}.get(name, f"{value:.4f}")
