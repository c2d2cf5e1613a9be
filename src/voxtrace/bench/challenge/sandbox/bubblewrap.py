"""The sandbox made by bubblewrap: for machines whose users may not make namespaces but may run `bwrap`."""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from typing import Any

from voxtrace.bench.challenge.sandbox import cgroups
from voxtrace.bench.challenge.sandbox.launching import SOURCES, launch
from voxtrace.bench.challenge.sandbox.order import Order, Outcome
from voxtrace.bench.challenge.sandbox.trial import trial
from voxtrace.bench.challenge.sandbox.view import environment, view_of
from voxtrace.bench.challenge.submission import INPUTS, OUTPUTS

PRINTED = "/run/printed"
JAIL = SOURCES / "voxtrace" / "bench" / "challenge" / "sandbox" / "jail"
NO_BWRAP = "bwrap is not installed (Debian: apt-get install bubblewrap)"


class Bubblewrap:
    """As Namespaces, but each folder that can be written to has the limit's room for itself."""

    name = "bubblewrap"

    def why_not(self) -> str:
        return _why_not()

    def run(self, order: Order) -> Outcome:
        view = view_of(order)
        view["room"]["at"].append(PRINTED)
        details = {
            "mode": "inside",
            "view": view,
            "printed": f"{PRINTED}/log",
            "command": order.submission.command_for(INPUTS, OUTPUTS),
            "folder": "/workspace",
            "environment": environment(),
            "output": f"{OUTPUTS}/{order.output}",
        }
        return launch(order, details, wrap(view))


def wrap(view: dict[str, Any]) -> list[str]:
    """The bwrap command that makes this view; the command to run in it follows."""
    words = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--as-pid-1", "--clearenv"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for folder in view["room"]["at"]:
        words += ["--size", str(view["room"]["size"]), "--tmpfs", folder]
    packages = [str(folder / "__init__.py") for folder in JAIL.parents if SOURCES in folder.parents]
    for source, target in [*view["binds"], *([path, path] for path in (*packages, str(JAIL)))]:
        words += ["--ro-bind", source, target]
    for target, link in view["links"]:
        words += ["--symlink", target, link]
    return [*words, "--remount-ro", "/dev", "--remount-ro", "/", "--"]


@lru_cache(maxsize=1)
def _why_not() -> str:
    if shutil.which("bwrap") is None:
        return NO_BWRAP
    if os.geteuid() == 0 and not cgroups.available()["pids"]:
        return "run by root it cannot bound the number of processes, and no control group can be made"
    return trial(Bubblewrap())
