"""The engine without a net whose features can be kept: for tests of the feature cache, also in other processes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from blocks import BOX_A, BOX_B, scan
from fake_engine import FakeEngine, FakeFeatures
from voxtrace.feature_cache import FeatureStore
from voxtrace.result import Result
from voxtrace.sessions import VolumeSession
from voxtrace.volume import Volume


class KeepingEngine(FakeEngine):
    """features_id as given."""

    def __init__(self, features_id: str = "fake 1", batch: int = 1) -> None:
        super().__init__(batch)
        self.features_id = features_id

    def pack(self, features: FakeFeatures) -> dict[str, np.ndarray]:
        return {"grey": features.grey}

    def unpack(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> FakeFeatures:
        if arrays["grey"].shape != shape:
            raise ValueError(f"{arrays['grey'].shape} is not {shape}")
        return FakeFeatures(arrays["grey"])


def slices(add: int = 0) -> Volume:
    """The two blocks, and a corner that makes every slice another. add: to all grey values."""
    array = scan().array.copy()
    array[:, 19, 0] = 1 + np.arange(len(array))
    return Volume(array + np.uint8(add))


def ran(store: FeatureStore | None, engine: FakeEngine | None = None, volume: Volume | None = None) -> Result:
    """Both blocks looked for in all nine slices, with this store, which is closed then."""
    session = VolumeSession(engine or KeepingEngine(), volume or slices(), stop=None, cache=store)
    result = session.add(BOX_A, "a").add(BOX_B, "b").run()
    if store is not None:
        store.close()
    return result


if __name__ == "__main__":  # FOLDER LIMIT TIMES: another process at the same cache; prints a digest of every result
    folder, limit, times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(times):
        result = ran(FeatureStore(folder, limit), volume=slices(add=number % 5))
        print(number % 5, int(result.labels.astype(np.int64).sum()), hash(result.labels.tobytes()), flush=True)
