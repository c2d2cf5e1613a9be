"""What every engine on graphs is, of whatever family: files, a runtime, verbs that are opened when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from voxtrace.engines.cpu import this_cpu
from voxtrace.engines.graph_files import GraphFiles
from voxtrace.engines.graph_values import GraphFeatures
from voxtrace.engines.opening import Verb
from voxtrace.engines.runtime import Runtime
from voxtrace.errors import ModelError

ENCODING = 1  # raised when `encode` comes to give other features


class OnGraphs:
    """The part of an Engine that is about its graphs; and what a cache of features asks (KeepsFeatures)."""

    batch = 1  # a second frame at once leaves a processor's cache (reference/performance.md)

    def __init__(self, files: GraphFiles, runtime: Runtime) -> None:
        self.files = files
        self.runtime = runtime
        self.name = files.model
        self.image_size = self.pixels("image_size")
        self._verbs = {verb: Verb(graph, runtime) for verb, graph in files.graphs.items()}

    @property
    def runs_on(self) -> str:
        """Runtime, version, precision and threads, in words."""
        return self.runtime.label

    @property
    def features_id(self) -> str:
        """All that features depend on beside the frame."""
        graph = self.files.graphs["encode"]
        return f"{self.runtime.label}, {this_cpu().kind}, {graph.weights_sha256}, {graph.sha256}, {ENCODING}"

    def pack(self, features: GraphFeatures) -> dict[str, np.ndarray]:
        """A frame's features as arrays, for a cache on disk."""
        return own_maps(features)

    def unpack(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> GraphFeatures:
        """The inverse of `pack`. Raises ValueError for other arrays."""
        if "embedding" not in arrays:
            raise ValueError(f"features without an embedding: {', '.join(arrays) or 'nothing'}")
        return GraphFeatures(shape, dict(arrays))

    def open_soon(self) -> None:
        """Open what a first mask needs while the caller does something else."""
        for verb in ("begin", "encode"):  # the one that takes longer first
            self._verbs[verb].open_soon()

    def configured(self, name: str) -> Any:
        """A field of the net's config. Raises ModelError where it is not there."""
        if name not in self.files.config:
            raise ModelError(f"{self.files.folder}: its config lacks {name!r}; export the net again")
        return self.files.config[name]

    def pixels(self, name: str) -> int:
        """The same, of a field that counts pixels."""
        value = self.configured(name)
        if type(value) is not int or value < 1:
            self.refuse(name)
        return value

    def refuse(self, name: str) -> NoReturn:
        """Raise ModelError for a field that holds nothing that could be meant."""
        raise ModelError(f"{self.files.folder}: its config has {name} {self.configured(name)!r}; export the net again")


def own_maps(features: Any) -> dict[str, np.ndarray]:
    """The maps of features that are an engine's on graphs. Raises ModelError for others."""
    if not isinstance(features, GraphFeatures):
        raise ModelError(f"this engine cannot decode a {type(features).__name__}: another engine encoded the frame")
    return dict(features.maps)
