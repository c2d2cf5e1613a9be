"""The whole benchmark: from a plan to the report that `voxtrace bench speed --out` writes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtrace.bench.speed.plan import Models, Plan, references_here
from voxtrace.bench.speed.rates import idlest_cores, machine, matrix_rates
from voxtrace.bench.speed.rows import Measuring

NOTE = (
    "Seconds are the best of several turns; sides take turns in one run, each a process with the same threads on the "
    "same cores. floor_s: operations over the rate that large products of that type of number attain here. Compare the "
    "figures of one file with one another, not with those of another day or machine."
)


def speed(plan: Plan, tell: Callable[[str], None] = lambda _: None, command: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the rows of `plan.only`. Raises ModelError or MissingDependencyError for what cannot be measured here."""
    references = references_here(plan.references)
    with _on_cores(plan.threads) as cores, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rates = matrix_rates(plan.threads, plan.size)
        tell(f"large products: {rates} GFLOP/s")
        measuring = Measuring(plan, Models(plan, folder), references, rates, tell)
        rows: list[dict[str, Any]] = []
        if references and {"volume", "small"} & set(plan.only):
            rows += measuring.volume()
        for name in ("objects", "click", "memory"):
            if references and name in plan.only:
                rows += getattr(measuring, name)()
        if "encoder" in plan.only:
            rows += measuring.encoder()
        if "startup" in plan.only:
            rows += measuring.startup(folder)
    weights = "random, seeded; the same on all sides" if plan.weights is None else plan.weights.name
    return {
        "note": NOTE,
        "command": list(command),
        "machine": machine(plan.threads, cores),
        "matrix_gflops": rates,
        "sam2_weights": weights,
        "references": list(references),
        "rows": rows,
    }


@contextmanager
def _on_cores(count: int) -> Iterator[tuple[int, ...]]:
    """Hold this process, and so its sides, to the cores that are least busy now: a side that works ahead in a thread of
    its own must not have a core more than the others."""
    cores = idlest_cores(count)
    if not cores:
        yield cores
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield cores
    finally:
        os.sched_setaffinity(0, before)
