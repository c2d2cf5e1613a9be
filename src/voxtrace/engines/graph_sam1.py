"""MedSAM and LiteMedSAM on exported graphs, without PyTorch: two graphs, and boxes around them (boxes.py)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtrace.engine import Features
from voxtrace.engines.boxes import BoxEngine
from voxtrace.engines.fitting import PadLongest, Squash
from voxtrace.engines.graph_files import GraphFiles
from voxtrace.engines.graph_values import GraphFeatures
from voxtrace.engines.on_graphs import OnGraphs
from voxtrace.engines.resizing import resize
from voxtrace.engines.runtime import Runtime
from voxtrace.prompts import BOX_START, BOX_STOP


class GraphSam1Engine(OnGraphs, BoxEngine):
    """An exported net of the SAM 1 family on a runtime."""

    batch = 1
    features_type = GraphFeatures

    def __init__(self, files: GraphFiles, runtime: Runtime) -> None:
        super().__init__(files, runtime)
        self.fit = (PadLongest if self.configured("keep_aspect") else Squash)(self.image_size)

    def encode(self, frames: Sequence[np.ndarray]) -> list[Features]:
        """Encode (H, W, 3) uint8 frames."""
        return [
            GraphFeatures(frame.shape[:2], self._verbs["encode"]({"images": self.fit.image(frame)})) for frame in frames
        ]

    def decode(self, features: Features, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As BoxEngine."""
        assert isinstance(features, GraphFeatures)
        labels = np.tile(np.array([BOX_START, BOX_STOP], np.int32), (len(boxes), 1))
        found = self._verbs["begin"]({**features.maps, "points": boxes, "labels": labels})
        # A box is clear: the first mask. Differs from MedSAM in that logits are scaled, not probabilities.
        return resize(self.fit.crop(found["logits"], features.shape), features.shape)[:, 0], found["iou"]
