"""The benchmark across modalities: models beside methods that need no weights, with several prompts, and volumes with
and without the true z range.

An evaluation of what is on this machine. Writes what `evaluate` writes, modalities.json (every figure, with what it was
measured on and no path of this machine) and modalities.md (the tables to read).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxtrace import checkpoints
from voxtrace.bench.evaluate import Outcome, Tell, evaluate
from voxtrace.bench.files import write_json, write_text
from voxtrace.bench.lock import machine, read_lock
from voxtrace.bench.plan import Plan
from voxtrace.bench.simple import SIMPLE
from voxtrace.eval.summary import summaries

WHAT = "modalities"
PROMPTS = ("box", "click", "mask")


def models_here() -> tuple[str, ...]:
    """The registered models whose weights are on this machine, then the methods that need none."""
    return (*(row.name for row in checkpoints.list_rows() if row.installed), *SIMPLE)


def modalities(plan: Plan, out: Path, tell: Tell | None = None, *, command: Sequence[str] = ()) -> Outcome:
    """Run the plan and write its tables. Raises as `evaluate` does."""
    outcome = evaluate(plan, out, tell, command=command, what=WHAT)
    found = summaries(outcome.rows, seed=plan.seed)
    settled = read_lock(out)["settings"]
    known = {
        name: settled[name]
        for name in ("voxtrace", "versions", "weights", "split", "most", "objects", "tolerance", "seed")
    }
    write_json(out / f"{WHAT}.json", {**known, "machine": machine(), "summaries": found})
    write_text(out / f"{WHAT}.md", tables(found))
    return outcome


def tables(found: Sequence[dict[str, Any]]) -> str:
    """Markdown: mean DSC with its interval, a row a contender; one table by kind, one by modality."""
    parts = []
    for title, group in (("Kind", "by_kind"), ("Modality", "by_modality"), ("Set", "by_set")):
        names = sorted({name for one in found for name in one[group]})
        lines = [f"| model | prompt | z range | overall | {' | '.join(names)} |", "|---" * (len(names) + 4) + "|"]
        for one in found:
            cells = [_cell(one["overall"]), *(_cell(one[group].get(name)) for name in names)]
            told = "told" if one["z_range"] else ""
            lines.append(f"| {one['model']} | {one['prompt']} | {told} | {' | '.join(cells)} |")
        parts.append(f"## {title}\n\n" + "\n".join(lines) + "\n")
    head = "# DSC by model, prompt and modality\n\nMeans over sets with 95 % intervals by patient; — was not asked.\n\n"
    return head + "\n".join(parts)


def _cell(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return "—"
    dsc = figures["dsc"]
    return f"{dsc['mean']:.3f} ({dsc['low']:.3f}–{dsc['high']:.3f})"
