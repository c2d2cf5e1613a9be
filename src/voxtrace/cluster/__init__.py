"""Tasks spread over worker processes, here or on a Ray cluster; a lost worker's task is given to another.

Knows nothing of scans and nets: `work` is any callable that can be pickled, a task what it is called with.
"""

from voxtrace.cluster.crew import Crew, Share
from voxtrace.cluster.processes import Processes
from voxtrace.cluster.ray_crew import RayCrew
from voxtrace.cluster.spreading import Finished, Lost, spread

__all__ = ["Crew", "Finished", "Lost", "Processes", "RayCrew", "Share", "spread"]
