"""Options of a batch that is spread over several workers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

from tyro.conf import arg

from voxtrace.cluster.address import address_of
from voxtrace.errors import ClusterError


@dataclass(frozen=True)
class SpreadOptions:
    """Who does the work: this process, several of this machine, or a Ray cluster (docs/batch.md)."""

    cluster: Annotated[str | None, arg(metavar="local|HOST:PORT|ray://HOST:PORT")] = None
    """Spread the scans over the workers of a Ray cluster; local: over all cores of this machine."""
    workers: Annotated[int | None, arg(metavar="N")] = None
    """How many workers, each with its own model. Without --cluster: processes of this machine. With it, by default
    as many as there is room for."""
    cpus_per_worker: Annotated[int, arg(metavar="N")] = 1
    """Cores, and threads, of each worker."""
    gpus_per_worker: Annotated[float, arg(metavar="N")] = 0.0
    """GPUs of each worker; 0.5 puts two on one. Needs --cluster."""
    retries: Annotated[int, arg(metavar="N")] = 2
    """How often a scan is begun again whose worker was lost in the middle of it."""
    send: bool = False
    """Send scans to the workers and masks back, even to those that see the files."""

    @property
    def asked(self) -> bool:
        """Whether there are workers at all."""
        return self.cluster is not None or self.workers is not None

    def check(self) -> None:
        """Raise ClusterError for options that mean nothing."""
        for name, value, least in (
            ("--workers", self.workers, 1),
            ("--cpus-per-worker", self.cpus_per_worker, 1),
            ("--gpus-per-worker", self.gpus_per_worker, 0),
            ("--retries", self.retries, 0),
        ):
            if value is not None and not least <= value < float("inf"):
                raise ClusterError(f"{name} {value}: at least {least}")
        if self.gpus_per_worker > 1 and self.gpus_per_worker % 1:
            raise ClusterError(f"--gpus-per-worker {self.gpus_per_worker}: a part of one GPU, or whole ones")
        if not self.asked:
            self._require_no_others()
        if self.cluster is not None:
            address_of(self.cluster)
        elif self.gpus_per_worker:
            raise ClusterError("--gpus-per-worker needs --cluster local: without Ray nobody shares the GPUs out")

    def _require_no_others(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) != one.default and one.name != "gpus_per_worker":
                option = f"--{one.name.replace('_', '-')}"
                raise ClusterError(f"{option} is about workers, and there are none; add --workers N or --cluster")
