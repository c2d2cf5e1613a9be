"""What a run was made of, as its lock says: enough to judge it and to repeat it."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from voxtrace.bench.challenge.runs import Run
from voxtrace.report.blocks import Cell, Column, Facts, Table
from voxtrace.report.numbers import counted, listed

DIGEST = 16  # digits of a hash that are shown


def facts(lock: Mapping[str, Any]) -> Facts:
    """Command, versions, data, seed and machine of a run of `voxtrace evaluate` or `voxtrace bench`."""
    settings, plan, machine = (lock.get(name) or {} for name in ("settings", "plan", "machine"))
    hashes = settings.get("data_sha256") or {}
    pairs = [
        ("Command", command(lock.get("command") or ())),
        ("Cases", _cases(plan, len(hashes))),
        ("Data", f"sha256 of all cases' hashes {data_hash(hashes)}" if hashes else ""),
        ("Scoring", f"NSD tolerance {plan['tolerance']:g} mm, in pictures pixels" if "tolerance" in plan else ""),
        ("Seed", str(plan.get("seed", ""))),
        ("Software", software(settings, str(lock.get("code_sha256") or ""))),
        ("Machine", machine_text(machine)),
    ]
    return Facts(tuple((name, text) for name, text in pairs if text))


def weights(locks: Sequence[Mapping[str, Any]]) -> Table | None:
    """The models' files by hash; None where no model has any."""
    known = {model: one for lock in locks for model, one in ((lock.get("settings") or {}).get("weights") or {}).items()}
    if not known:
        return None
    names = ("sha256", "net", "image_size")
    lines = tuple((Cell(model), *(Cell(str(one.get(name, ""))) for name in names)) for model, one in known.items())
    columns = (Column("model", number=False), Column("sha256 of its file", number=False), Column("net", number=False))
    return Table("Weights", (*columns, Column("pixels")), lines)


def run_facts(run: Run, lock: Mapping[str, Any]) -> Facts:
    """What a submission was run with. lock: {} where the run has none."""
    about, limits, machine = run.settings["submission"], run.settings["limits"], run.machine
    bounds = [f"{_bytes(limits['memory'])} memory", f"{limits['seconds']:g} s a case"]
    bounds += [f"cpus {limits['cpus']}"] if limits.get("cpus") else []
    scoring = run.settings.get("scoring") or {}
    what = about.get("image") or " ".join(about.get("command") or ())
    pairs = [
        ("Command", command(lock.get("command") or ())),
        ("Submission", f"{what}, sha256 {str(about['sha256'])[:DIGEST]}" if about.get("sha256") else what),
        ("Limits", ", ".join(bounds)),
        ("Sandbox", str(run.settings.get("sandbox", ""))),
        ("Scoring", f"NSD tolerance {scoring['nsd_tolerance_mm']:g} mm" if "nsd_tolerance_mm" in scoring else ""),
        ("Data", f"sha256 of all cases' hashes {data_hash({row.case: row.case_sha256 for row in run.rows})}"),
        ("Seed", str((lock.get("plan") or {}).get("seed", ""))),
        ("Software", _run_software(machine, lock)),
        ("Machine", machine_text(machine)),
    ]
    return Facts(tuple((name, text) for name, text in pairs if text))


def _run_software(machine: Mapping[str, Any], lock: Mapping[str, Any]) -> str:
    known = {"voxtrace": machine.get("voxtrace", ""), "versions": {"python": machine.get("python", "")}}
    versions = (lock.get("settings") or {}).get("versions")
    return software(known | ({"versions": versions} if versions else {}), str(lock.get("code_sha256") or ""))


def command(words: Any) -> str:
    """As it was typed."""
    return f"voxtrace {shlex.join(str(word) for word in words)}" if words else ""


def data_hash(hashes: Mapping[str, str]) -> str:
    """One hash for all cases, whatever their order."""
    lines = "".join(f"{case} {digest}\n" for case, digest in sorted(hashes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:DIGEST]


def software(settings: Mapping[str, Any], code: str) -> str:
    """voxtrace 0.1.0 (code 0123456789abcdef), python 3.11, ..."""
    own = f"voxtrace {settings['voxtrace']}" if "voxtrace" in settings else ""
    own += f" (code {code[:DIGEST]})" if own and code else ""
    others = [f"{name} {version}" for name, version in (settings.get("versions") or {}).items()]
    return ", ".join([own, *others] if own else others)


def _bytes(size: int) -> str:
    return f"{size / 2**30:g} GB" if size % 2**30 == 0 else f"{size / 2**20:.0f} MB"


def machine_text(machine: Mapping[str, Any]) -> str:
    """Intel(R) Xeon(R), 4 cores, Linux x86_64."""
    cores = machine.get("cores") or machine.get("cpus")
    parts = [machine.get("processor"), counted(cores, "core") if isinstance(cores, int) else ""]
    parts.append(" ".join(str(machine[name]) for name in ("system", "machine") if machine.get(name)))
    return ", ".join(str(part) for part in parts if part)


def _cases(plan: Mapping[str, Any], count: int) -> str:
    """42 cases of split val, at most 3 a set, at most 12 objects a case."""
    parts = [counted(count, "case")]
    for name, form in (("split", "split {}"), ("kind", "kind {}"), ("most", "at most {} a set")):
        if plan.get(name) is not None:
            parts.append(form.format(plan[name]))
    if plan.get("sets"):
        parts.append(f"sets {listed(plan['sets'])}")
    if plan.get("objects"):
        parts.append(f"at most {plan['objects']} objects a case")
    return ", ".join(parts)
