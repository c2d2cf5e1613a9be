"""A Ray cluster of two nodes on this machine, as a person starts one, and what its workers' logs tell."""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HEAD, OTHER = "127.0.0.2", "127.0.0.3"  # Ray takes 127.0.0.1 for the address that others see
START_S = 90.0
THREADS = {"VOXTRACE_THREADS": "1"}  # as many as a worker has: sums are split among threads


@dataclass(frozen=True)
class TwoNodes:
    """address: for a program on one of the nodes. client: for any other. environment: for programs that connect."""

    address: str
    client: str
    logs: Path
    environment: dict[str, str]

    def begins(self, *words: object) -> subprocess.Popen[str]:
        """`voxtrace batch` with these words, as a process."""
        return begins(self.environment, *words)

    def log(self, run: Path) -> list[tuple[str, str, int]]:
        """(begins or ends, case, process) of the workers of the batch in `run`, without order between workers."""
        told = []
        for path in self.logs.glob("worker-*.err"):
            process = int(path.stem.rpartition("-")[2])
            for what, name in re.findall(r"voxtrace (begins|ends) (\S+)", path.read_text()):
                told.append((what, name, process))
        return [one for one in told if one[1].startswith(run.name)]

    def head_process(self) -> int:
        """The process that holds the cluster together, Ray's gcs_server."""
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_text().split("\0")
                if words[0].endswith("gcs_server") and any(str(self.logs.parents[1]) in word for word in words):
                    return int(folder.name)
        raise AssertionError("no gcs_server runs")


def begins(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    """`voxtrace batch` with these words, as a process."""
    command = [sys.executable, "-m", "voxtrace", "batch", *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """A core each; only programs with this cluster's token are let in."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path is short
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment |= THREADS
    # Else the server for clients, which forks for each, now and then loses a child to gRPC's threads.
    environment |= {"GRPC_ENABLE_FORK_SUPPORT": "0"}
    port, client = free_port(), free_port()
    common = ["--disable-usage-stats", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000", "--block"]
    common += ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
    head = [f"--port={port}", f"--ray-client-server-port={client}", "--include-dashboard=false"]
    nodes = []
    try:
        nodes.append(
            _start(["--head", f"--node-ip-address={HEAD}", f"--temp-dir={folder}", *head, *common], environment, folder)
        )
        wait_for(lambda: answers(port), "the head's port", START_S)
        nodes.append(_start([f"--address={HEAD}:{port}", f"--node-ip-address={OTHER}", *common], environment, folder))
        for number in (1, 2):
            said = folder / f"said{number}"
            wait_for(lambda said=said: "runtime started" in said.read_text(), f"node {number}", START_S)
        wait_for(lambda: answers(client), "the port for clients", START_S)
        logs = folder / "session_latest" / "logs"
        yield TwoNodes(f"{HEAD}:{port}", f"ray://{HEAD}:{client}", logs, environment)
    finally:
        for node in nodes:
            node.send_signal(signal.SIGTERM)
        for node in nodes:
            with suppress(subprocess.TimeoutExpired):  # without its head a node does not listen
                node.wait(4)
            with suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
            node.wait(4)
        _end_all_with(environment["RAY_AUTH_TOKEN"])
        shutil.rmtree(folder, ignore_errors=True)


def _end_all_with(token: str) -> None:
    """Workers are in groups of their own and outlive a node that was killed by a while: they are known by the token."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if token.encode() in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


def _start(words: list[str], environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    said = folder / f"said{len(list(folder.glob('said*'))) + 1}"
    program = Path(sys.executable).with_name("ray")
    with said.open("w") as file:
        return subprocess.Popen(
            [program, "start", *words],
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
            preexec_fn=_end_with_us,
        )


def _end_with_us() -> None:
    """A test run that is killed leaves no cluster behind: the system tells the child of its parent's death (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as one:
        one.bind((HEAD, 0))
        return int(one.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection((HEAD, port), 1).close()
    except OSError:
        return False
    return True


def wait_for(fact: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Until it is so."""
    until = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether it runs; one that waits to be fetched by its parent does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
