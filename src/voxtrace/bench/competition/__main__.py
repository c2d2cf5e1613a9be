"""`python -m voxtrace.bench.competition`: the whole competition with one command."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from voxtrace.bench.challenge.limits import EXAMPLE, parse_limits
from voxtrace.bench.challenge.runs import CaseRow
from voxtrace.bench.challenge.sandbox.choice import Kind
from voxtrace.bench.competition.cases import SETS
from voxtrace.bench.competition.holding import LIMITS, Competition, hold
from voxtrace.errors import VoxtraceError


def main(words: Sequence[str] | None = None) -> int:
    """Hold it, as the words of the command line say.

    Returns 0 if all went as it should, 2 for a mistake in what was asked, 3 if something got out of the sandbox or the
    second run was another.
    """
    parser = argparse.ArgumentParser(prog="python -m voxtrace.bench.competition", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="labelled cases: a manifest, or the folder with one")
    parser.add_argument("--out", type=Path, required=True, help="cases, runs and results go there; a run goes on")
    parser.add_argument("--submissions", type=Path, default=Path("competition"), help="a folder of submissions")
    parser.add_argument("--limits", metavar=EXAMPLE, help="what one case may use, where it is another")
    parser.add_argument("--sandbox", choices=get_args(Kind), default="auto")
    parser.add_argument(
        "--sets", nargs="+", default=tuple(SETS), metavar="SET", help="one case of each; by default of 12"
    )
    args = parser.parse_args(words)
    began = time.monotonic()
    try:
        limits = parse_limits(args.limits or "", LIMITS)
        asked = Competition(args.data, args.out, args.submissions, limits, args.sandbox, tuple(args.sets))
        held = hold(asked, _tell, _without_places(sys.argv[1:] if words is None else words))
    except VoxtraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print((args.out / "results" / "standings.md").read_text(encoding="utf-8"))
    print(
        f"{time.monotonic() - began:.0f} s; all is in {args.out}, what is small and may be kept in {args.out}/results"
    )
    escaped = any(one.escaped for one in held.misdeeds)
    return 3 if escaped or (held.reproduction and not held.reproduction["reproduced"]) else 0


def _without_places(words: Sequence[str]) -> list[str]:
    """The command as it may be published: of a path from the root the name alone."""
    return [Path(word).name if word.startswith("/") else word for word in words]


def _tell(place: str, row: CaseRow) -> None:
    dsc = "" if row.dsc is None else f"DSC {row.dsc:.3f}  "
    print(f"{place:28} {row.case:26} {row.status:12} {row.seconds:7.2f} s  {dsc}{row.message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
