"""A container image, run as the challenge of 2024 ran it, by docker, podman or apptainer.

    docker container run -m 8G --name T --rm -v inputs:/workspace/inputs/ -v outputs:/workspace/outputs/ IMAGE
        /bin/bash -c "sh predict.sh"

Added here: no network, no rights, limits on processors, processes and what is written; only /tmp and the outputs can be
written to. The time is that of the whole command, the container's start included. Peak memory is not known.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from voxtrace.bench.challenge.sandbox.jail.output import Written, copy_tail, deliver
from voxtrace.bench.challenge.sandbox.order import Order, Outcome
from voxtrace.bench.challenge.submission import INPUTS, OUTPUTS
from voxtrace.errors import SandboxError

_LOOK_EVERY = 0.05  # seconds
_KILLED = 137  # what a container gives back when the kernel or the engine killed it


class Container:
    """tool: docker, podman or apptainer."""

    def __init__(self, tool: str) -> None:
        self.name = tool

    def why_not(self) -> str:
        if shutil.which(self.name) is None:
            return f"{self.name} is not installed"
        asked = [self.name, "--version"] if self.name == "apptainer" else [self.name, "info"]
        try:
            answer = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        except subprocess.TimeoutExpired:
            return f"`{' '.join(asked)}` gives no answer"
        last = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"`{' '.join(asked)}` fails: {last}" if answer.returncode else ""

    def run(self, order: Order) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="voxtrace-") as folder, order.log.open("wb") as log:
            outputs = Path(folder, "outputs")
            outputs.mkdir()
            outputs.chmod(0o777)  # the user inside may be any
            name = f"voxtrace-{os.getpid()}-{time.monotonic_ns()}"
            printed = os.open(Path(folder, "printed"), os.O_RDWR | os.O_CREAT | os.O_APPEND)
            try:
                seconds, code, stopped = self._wait(order, outputs, name, printed)
                copy_tail(printed, log.fileno())
            finally:
                os.close(printed)
            with order.target.open("wb") as target:
                missing = deliver(str(outputs / order.output), target.fileno(), order.limits.disk)
            if code == _KILLED and not stopped:
                stopped = "memory"
            return Outcome(seconds, code, stopped, full=stopped == "disk", missing=missing)

    def _wait(self, order: Order, outputs: Path, name: str, printed: int) -> tuple[float, int, str]:
        used = Written([str(outputs.parent)])
        began = time.monotonic()
        process = subprocess.Popen(
            run_command(self.name, order, outputs, name),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stopped = ""
        try:
            while process.poll() is None and not stopped:
                if used.lately() > order.limits.disk:
                    stopped = "disk"
                elif time.monotonic() - began > order.limits.seconds:
                    stopped = "seconds"
                else:
                    time.sleep(_LOOK_EVERY)
            seconds = time.monotonic() - began
            if not stopped and used.now() > order.limits.disk:
                stopped = "disk"
            return seconds, process.returncode or 0, stopped
        finally:
            self._end(process, name)

    def _end(self, process: subprocess.Popen[bytes], name: str) -> None:
        if process.poll() is not None:
            return
        if self.name != "apptainer":
            subprocess.run([self.name, "kill", name], capture_output=True, timeout=60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def image_hash(tool: str, image: str) -> str:
    """What the engine knows an image by: its tag may stand for another one tomorrow.

    Raises SandboxError if it is not there; were it fetched by the first run, that case's time would hold it.
    """
    asked = [tool, "image", "inspect", "--format", "{{.Id}}", image]
    answer = subprocess.run(asked, capture_output=True, text=True)
    if answer.returncode:
        raise SandboxError(f"{tool} has no image {image}; fetch or build it first: {tool} pull {image}")
    return answer.stdout.strip()


def run_command(tool: str, order: Order, outputs: Path, name: str) -> list[str]:
    """The whole command that runs the image on the case."""
    limits, image = order.limits, order.submission.image
    command = order.submission.command_for(INPUTS, OUTPUTS)
    if tool == "apptainer":
        words = ["apptainer", "exec", "--containall", "--no-home", "--net", "--network", "none", "--pwd", "/workspace"]
        words += ["--bind", f"{order.inputs.resolve()}:{INPUTS}:ro", "--bind", f"{outputs}:{OUTPUTS}"]
        words += ["--memory", str(limits.memory), "--pids-limit", str(limits.processes)]
        return [*words, *(["--cpus", str(limits.cpus)] if limits.cpus else []), image, *command]
    words = [tool, "container", "run", "--rm", "--name", name, "--network", "none"]
    words += ["--memory", str(limits.memory), "--memory-swap", str(limits.memory)]
    words += ["--pids-limit", str(limits.processes), "--ulimit", f"fsize={limits.disk}"]
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    words += ["--read-only", "--tmpfs", f"/tmp:size={limits.disk}"]
    words += ["--volume", f"{order.inputs.resolve()}:{INPUTS}:ro", "--volume", f"{outputs}:{OUTPUTS}"]
    if cpus := limits.cpu_numbers():
        words += ["--cpuset-cpus", ",".join(map(str, cpus))]
    return [*words, image, *command]
