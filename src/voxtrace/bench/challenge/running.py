"""Run a submission on every case, one after another; what goes wrong in one is written down and the next begins."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import __version__
from voxtrace.bench.challenge import locking
from voxtrace.bench.challenge.cases import ChallengeCase, content_hash, mask_shape, read_truth, spacing_zyx, write_blind
from voxtrace.bench.challenge.judging import judge, last_words
from voxtrace.bench.challenge.limits import Limits, usable_cpus
from voxtrace.bench.challenge.runs import OK, PREDICTIONS, SANDBOX_FAILED, CaseRow, Run, write_run
from voxtrace.bench.challenge.sandbox.container import image_hash
from voxtrace.bench.challenge.sandbox.order import Order, Sandbox
from voxtrace.bench.challenge.sandbox.view import check_hidden
from voxtrace.bench.challenge.scoring import LEAST_DSC, score_case
from voxtrace.bench.challenge.submission import Submission
from voxtrace.eval.journal import Journal
from voxtrace.eval.metrics import TOLERANCE_MM

LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, and where its results go.

    allow: what it may read beside its own files. again: run what failed in an earlier run of this plan once more.
    """

    submission: Submission
    cases: Sequence[ChallengeCase]
    sandbox: Sandbox
    limits: Limits
    out: Path
    allow: tuple[Path, ...] = ()
    tolerance_mm: float = TOLERANCE_MM
    again: bool = False

    def settings(self) -> dict[str, Any]:
        """All that decides masks and times: a run is gone on with only if none of it changed."""
        one = self.submission
        sha256 = image_hash(self.sandbox.name, one.image) if one.image and not one.sha256 else one.sha256
        about = {"name": one.name, "sha256": sha256, "image": one.image, "command": list(one.command)}
        here = machine()
        return {
            "submission": about,
            "limits": asdict(self.limits),
            "sandbox": self.sandbox.name,
            "allow": [str(path) for path in self.allow],
            "scoring": {"nsd_tolerance_mm": self.tolerance_mm, "nsd_0_at_dsc": LEAST_DSC},
            **locking.made_with(self.allow),
            "ran_on": {what: here[what] for what in ("voxtrace", "processor", "cpus")},
        }


def run_plan(
    plan: Plan,
    on_case: Callable[[int, CaseRow | None], None] = lambda number, row: None,
    command: Sequence[str] = (),
) -> Run:
    """Run what is not done yet; results are written at the end, and when interrupted. Every case is checked first.

    on_case(number done, its row or None if it was done before). command: for the lock, that of the person. Raises
    InputError for cases that cannot be used, or if the folder holds a run with other settings.
    """
    shapes = {case.name: mask_shape(case) for case in plan.cases}
    for private in (plan.cases[0].file.parent, plan.out):
        if plan.submission.folder is not None:
            check_hidden(private, plan.allow)
    for folder in (plan.out, plan.out / PREDICTIONS, plan.out / LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    settled = plan.settings()
    hashes = {case.name: content_hash(case) for case in plan.cases}
    journal = Journal(plan.out, settled)
    locking.write(plan.out, plan.submission.folder, settled, hashes, command)
    done = {line["case"]: CaseRow(**line) for line in journal.lines}
    rows: list[CaseRow] = []
    try:
        for number, case in enumerate(plan.cases, 1):
            before, now = done.get(case.name), hashes[case.name]
            if before and before.case_sha256 == now and _stands(before, plan.again):
                rows.append(before)
                on_case(number, None)
                continue
            rows.append(_run_case(plan, case, shapes[case.name], now))
            journal.write(asdict(rows[-1]))
            on_case(number, rows[-1])
    finally:
        run = Run(plan.out, settled, machine(), tuple(rows))
        write_run(run)
    return run


def _stands(row: CaseRow, again: bool) -> bool:
    """Whether a row of an earlier run need not be made anew."""
    return row.status == OK or (row.status != SANDBOX_FAILED and not again)


def machine() -> dict[str, Any]:
    """What times depend on."""
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "voxtrace": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": model or platform.machine(),
        "cpus": len(usable_cpus()),
    }


def _run_case(plan: Plan, case: ChallengeCase, shape: tuple[int, ...], case_hash: str) -> CaseRow:
    kept, log = plan.out / PREDICTIONS / case.name, plan.out / LOGS / f"{case.name}.txt"
    kept.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="voxtrace-") as name:
        inputs, target = Path(name, "inputs"), Path(name, "output.npz")
        inputs.mkdir()
        inputs.chmod(0o755)
        write_blind(case, inputs)
        order = Order(plan.submission, inputs, case.name, target, log, plan.limits, plan.allow)
        outcome = plan.sandbox.run(order)
        status, message, labels = judge(outcome, target, shape, plan.limits)
    said = last_words(log)
    row = CaseRow(
        case=case.name,
        status=status,
        dsc=0.0 if case.truth else None,
        nsd=0.0 if case.truth else None,
        seconds=round(outcome.seconds, 4),
        peak_memory=outcome.peak_memory,
        message=f"{message}; it said: {said}" if said and status != OK else message,
        modality=case.modality,
        case_sha256=case_hash,
    )
    return row if labels is None else _scored(plan, case, row, labels)


def _scored(plan: Plan, case: ChallengeCase, row: CaseRow, labels: np.ndarray) -> CaseRow:
    """The row with its scores; the labels are kept as we read them, not the file as it was written."""
    with (plan.out / PREDICTIONS / case.name).open("wb") as file:
        np.savez_compressed(file, segs=labels)
    content = hashlib.sha256(f"{labels.shape}".encode() + labels.astype(np.int64).tobytes())
    row = replace(row, mask_sha256=content.hexdigest()[:16])
    truth = read_truth(case)
    if truth is None:
        return row
    found = score_case(labels, truth, spacing_zyx(case), plan.tolerance_mm)
    return replace(row, dsc=found.dsc, nsd=found.nsd)
