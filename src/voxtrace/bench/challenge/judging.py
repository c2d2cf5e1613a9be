"""What became of a case, in one word and one sentence."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np

from voxtrace.bench.challenge.limits import Limits, in_words
from voxtrace.bench.challenge.predictions import UnfitError, read_prediction
from voxtrace.bench.challenge.runs import OK, SANDBOX_FAILED
from voxtrace.bench.challenge.sandbox.order import Outcome

_STOPPED = {"seconds": "timeout", "memory": "memory", "disk": "disk"}
_LONGEST = 200  # characters of a submission's own words


def judge(
    outcome: Outcome, written: Path, shape: tuple[int, ...], limits: Limits
) -> tuple[str, str, np.ndarray | None]:
    """(status, message, labels if they can be scored) of what happened.

    An output that can be scored counts even if the program then ends with an error: the challenge looked at the file
    alone, and runtimes do crash on their way out. One that is killed at a limit has failed, whatever it had written.
    """
    crowded = outcome.most_threads >= limits.processes
    crowd = f"; it reached the limit of {limits.processes} processes and threads" if crowded else ""
    ended = _how_it_ended(outcome.exit_code)
    if outcome.problem:
        return SANDBOX_FAILED, outcome.problem, None
    if outcome.not_started:
        return "not-started", f"its command cannot be started: {outcome.not_started}", None
    if outcome.stopped:
        limit = {"seconds": f"{limits.seconds:g} s", "memory": in_words(limits.memory), "disk": in_words(limits.disk)}
        return _STOPPED[outcome.stopped], f"killed at the limit of {limit[outcome.stopped]}{crowd}", None
    try:
        if outcome.missing and outcome.missing != "missing":
            raise UnfitError("unreadable", f"its output is {outcome.missing}")
        if outcome.missing:
            raise UnfitError("crashed" if outcome.exit_code else "no-output", f"no output; {ended}{crowd}")
        labels = read_prediction(written, shape)
    except UnfitError as error:
        if outcome.full:
            return "disk", f"all {in_words(limits.disk)} it may write were used; {error}", None
        return error.status, str(error), None
    return OK, ended if outcome.exit_code else "", labels


def last_words(log: Path) -> str:
    """The last line that a submission printed, in letters that can do no harm in a table or terminal."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(letter for letter in lines[-1] if letter.isprintable())[:_LONGEST] if lines else ""


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"
