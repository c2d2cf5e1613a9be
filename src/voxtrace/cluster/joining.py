"""The way into a Ray cluster: one that is there, or one of this machine's own that lives as long as the program."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxtrace.cluster.address import LOCAL, address_of, is_lost, problem, require_ray
from voxtrace.cluster.crew import Share
from voxtrace.errors import ClusterError, MissingDependencyError

NAMESPACE = "voxtrace"
OBJECT_STORE_BYTES = 200_000_000  # tasks are names of files; Ray would set aside a third of the memory
PREFIX = "voxtrace-ray-"
SHORT, LONGEST = "/tmp", 46  # bytes: Ray adds 61 for its sockets, and a socket's path has at most 107
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent out
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # its C++ part writes to our stderr
    "GRPC_ENABLE_FORK_SUPPORT": "0",  # a process that Ray forks off while gRPC's threads run may die of it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # workers without a GPU keep the variables they have; it warns else
}


@contextmanager
def joined(address: str, share: Share, workers: int | None) -> Iterator[Any]:
    """The module ray, connected; disconnected when left, and a local cluster is ended.

    Raises MissingDependencyError without Ray; ClusterError for an address where none answers within seconds, for one of
    another Ray or Python version, and for one that wants Ray's token.
    """
    told, host, _ = address_of(address)
    if host is None and "RAY_AUTH_MODE" not in os.environ:
        # A secret of its own, not one that Ray leaves in the home folder. Read as ray is imported.
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    ray = _ray()
    require_ray(address)
    folder = folder_for_ray() if told == LOCAL else None
    try:
        _init(ray, address, _connecting(told) if folder is None else _starting(folder, share, workers))
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        yield ray
    finally:
        _leave(ray, address)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def folder_for_ray() -> str:
    """A fresh folder for a cluster of this machine's own. Those of programs that were killed are removed meanwhile."""
    usual = tempfile.gettempdir()
    for place in {usual, SHORT}:
        for left in Path(place).glob(f"{PREFIX}*-*"):
            process = left.name[len(PREFIX) :].partition("-")[0]
            if process.isdecimal() and not _runs(int(process)):
                shutil.rmtree(left, ignore_errors=True)
    prefix = f"{PREFIX}{os.getpid()}-"
    deep = len(os.fsencode(usual)) + len(prefix) + 9 > LONGEST
    return tempfile.mkdtemp(prefix=prefix, dir=SHORT if deep and os.path.isdir(SHORT) else usual)


def _runs(process: int) -> bool:
    if os.name == "nt":  # there the same call would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _init(ray: Any, address: str, words: dict[str, Any], tries: int = 2) -> None:
    try:
        with _hushed():
            ray.init(**words)
    except Exception as error:
        # The server of ray:// forks among gRPC's threads for each client, and now and then the child dies at once.
        if "Initialization failure" in str(error) and tries > 1:
            ray.shutdown()
            return _init(ray, address, words, tries - 1)
        raise ClusterError(problem(address, error)) from None


@contextmanager
def _hushed() -> Iterator[None]:
    """Ray writes a line a second to our stderr while it fails to connect, from C++; its exception says it all."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def room_for(ray: Any, share: Share) -> int:
    """How many workers of this share the cluster has cores and GPUs for, busy ones too."""
    return sum(_fitting(node["Resources"], share) for node in ray.nodes() if node["Alive"])


def _fitting(resources: dict[str, float], share: Share) -> int:
    by_cpu = int(resources.get("CPU", 0) // share.cpus)
    if not share.gpus:
        return by_cpu
    cards = resources.get("GPU", 0)
    each = int(1 / share.gpus) if share.gpus < 1 else 0  # Ray gives parts of one card, not of two
    return min(by_cpu, int(cards) * each if each else int(cards // share.gpus))


def _ray() -> Any:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("ray", "cluster", "--cluster") from None
    # What is lost with a worker is told in our own words; Ray would write a paragraph on stdout for each.
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *args, **kwargs: None
    return ray


def _connecting(told: str) -> dict[str, Any]:
    return {"address": told, "namespace": NAMESPACE, **_silent()}


def _starting(folder: str, share: Share, workers: int | None) -> dict[str, Any]:
    return {
        "address": LOCAL,
        "namespace": NAMESPACE,
        "num_cpus": None if workers is None else workers * share.cpus,
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": folder,
        "_node_ip_address": "127.0.0.1",
        **_silent(),
    }


def _silent() -> dict[str, Any]:
    return {"log_to_driver": False, "logging_level": logging.CRITICAL}


def _leave(ray: Any, address: str) -> None:
    """Disconnect. Where the cluster is gone Ray would try for a minute and then abort the program without a word, or
    crash as the interpreter ends: it is not asked, and the program ends before that, as with a ClusterError."""
    if not is_lost(address):
        ray.shutdown()
    elif not address.startswith("ray://"):
        atexit.register(_end_at_once)


def _end_at_once() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ClusterError.exit_code)
