"""What a run of a submission was made of: its lock, and what is otherwise in the lock of another run.

The journal refuses to go on with other settings. Cases are not among them: one that was changed is run again, and each
row says by its hash which file it was made from. So they stand beside the settings, as do the single files of the
submission, which only say where its hash comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxtrace.bench.challenge.contents import BYTECODE, hash_of, hashes_below
from voxtrace.bench.lock import FILE, lock, read_lock, versions, write_lock
from voxtrace.errors import InputError
from voxtrace.eval.bootstrap import SEED
from voxtrace.eval.journal import differences

WHAT = "challenge run"
_COMPARED = ("settings", "submission_files", "data_sha256", "machine")


def made_with(allow: Sequence[Path]) -> dict[str, Any]:
    """What decides masks and times beside the submission: versions, and what it may read beside its own files."""
    return {"versions": versions(), "allow_sha256": {str(path): hash_of(path, BYTECODE) for path in allow}}


def write(
    out: Path, folder: Path | None, settled: Mapping[str, Any], cases: Mapping[str, str], command: Sequence[str]
) -> None:
    """Write lock.json into `out`. folder: the submission's, None for an image; cases: {name: hash}.

    Nothing in a run is drawn by lot; the seed is that of the intervals in its summary.
    """
    plan = {"cases": len(cases), "seed": SEED}
    files = {} if folder is None else hashes_below(folder)
    beside = {"submission_files": files, "data_sha256": dict(cases)}
    write_lock(out, lock(WHAT, plan, settled, command) | beside)


def changes(first: Path, second: Path) -> list[str]:
    """What the runs in two folders were made of that is not the same, each by its name; a lock that is not there is
    one change. Raises InputError for a file that is no lock of a challenge run."""
    missing = [
        f"{folder / FILE} is not there: what it was made of is not known"
        for folder in (first, second)
        if not (folder / FILE).is_file()
    ]
    if missing:
        return missing
    old, new = _read(first), _read(second)
    found = [line for part in _COMPARED for line in differences(old.get(part), new.get(part), _named(part))]
    return found if old.get("code_sha256") == new.get("code_sha256") else [*found, "voxtrace's own code is another"]


def _read(folder: Path) -> dict[str, Any]:
    content = read_lock(folder)
    if content["what"] != WHAT:
        raise InputError(f"{folder / FILE} is the lock of `{content['what']}`, not of a run of a submission")
    return content


def _named(part: str) -> str:
    return {"settings": "", "submission_files": "file", "data_sha256": "case"}.get(part, part)
