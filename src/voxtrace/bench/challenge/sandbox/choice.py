"""Which sandbox a submission runs in: the strictest that works on this machine."""

from __future__ import annotations

import os
from typing import Literal

from voxtrace.bench.challenge.sandbox.bare import Limited
from voxtrace.bench.challenge.sandbox.bubblewrap import Bubblewrap
from voxtrace.bench.challenge.sandbox.container import Container
from voxtrace.bench.challenge.sandbox.namespaces import Namespaces
from voxtrace.bench.challenge.sandbox.order import Sandbox
from voxtrace.bench.challenge.submission import Submission, unreadable_file
from voxtrace.errors import SandboxError

Kind = Literal["auto", "namespaces", "bubblewrap", "limits", "docker", "podman", "apptainer"]


def choose(submission: Submission, kind: Kind = "auto") -> Sandbox:
    """The sandbox for it. Raises SandboxError, with every reason, if none works; `limits` is taken only when named.

    Our own namespaces come before bubblewrap: they give one room for all that is written and, run by root, a user
    without any rights. An image needs an engine for images.
    """
    fitting = _for_image(submission) if submission.folder is None else _for_folder()
    if kind != "auto":
        fitting = [sandbox for sandbox in fitting if sandbox.name == kind]
        if not fitting:
            what = "an image" if submission.folder is None else "a folder"
            raise SandboxError(f"--sandbox {kind} does not run {what}; leave it out, or name one that does")
    reasons = []
    for sandbox in fitting:
        if kind == "auto" and isinstance(sandbox, Limited):
            continue
        reason = sandbox.why_not()
        if not reason:
            _check_readable(submission, sandbox)
            return sandbox
        reasons.append(f"{sandbox.name}: {reason}")
    way_out = "" if submission.folder is None else ". If you trust the submission, --sandbox limits runs it in the open"
    raise SandboxError(f"no sandbox works here ({'; '.join(reasons)}){way_out}")


def _for_folder() -> list[Sandbox]:
    return [Namespaces(), Bubblewrap(), Limited()]


def _for_image(submission: Submission) -> list[Sandbox]:
    if submission.image.endswith(".sif"):
        return [Container("apptainer")]
    return [Container("docker"), Container("podman")]


def _check_readable(submission: Submission, sandbox: Sandbox) -> None:
    """Run by root, a submission is another user, who can read only what everybody can."""
    if submission.folder is None or os.geteuid() != 0 or not isinstance(sandbox, Namespaces):
        return
    if path := unreadable_file(submission.folder):
        raise SandboxError(f"{path} cannot be read by others, so not by the sandbox: chmod -R a+rX {submission.folder}")
