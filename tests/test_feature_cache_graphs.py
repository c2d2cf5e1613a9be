"""The feature cache with the embedded net on graphs, without PyTorch: the same to the bit, and nothing encoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxtrace.engine import Engine, KeepsFeatures
from voxtrace.engines import find_model, open_engine
from voxtrace.engines.choosing import installed
from voxtrace.feature_cache import FeatureStore
from voxtrace.prompts import Box
from voxtrace.result import Result
from voxtrace.sessions import VolumeSession
from voxtrace.volume import Volume

pytestmark = pytest.mark.real


@pytest.fixture(params=["openvino", "onnxruntime"], scope="module")
def runtime(request: pytest.FixtureRequest) -> str:
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    if why := find_model("voxtrace-small").why_no_graphs:
        pytest.skip(why)
    return request.param


@pytest.fixture(scope="module")
def engine(runtime: str) -> Engine:
    """One for several tests: to open one takes longer than to use it."""
    return opened(runtime)


@pytest.fixture(scope="module")
def expected(engine: Engine) -> Result:
    """Without a cache."""
    return ran(engine)


@pytest.fixture(scope="module")
def kept(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder of features, and what was found while they were written."""
    folder = tmp_path_factory.mktemp("kept")
    return folder, ran(engine, FeatureStore(folder))


def opened(runtime: str) -> Engine:
    return open_engine("voxtrace-small", "cpu", engine=runtime, precision="fp32")


def ran(engine: Engine, store: FeatureStore | None = None) -> Result:
    z, y, x = np.indices((5, 48, 56))
    inside = (y - 22) ** 2 + (x - 19) ** 2 < 100
    noise = np.random.default_rng(0).normal(60, 10, inside.shape)
    volume = Volume(np.clip(noise + 90 * inside + z, 0, 255).astype(np.uint8))
    result = VolumeSession(engine, volume, stop=None, cache=store).add(Box.on_slice(2, 10, 8, 34, 30)).run()
    if store is not None:
        store.close()
    return result


def test_a_second_click_in_another_session_is_the_same_to_the_bit_and_encodes_nothing(
    runtime, expected, kept, monkeypatch
):
    folder, cold = kept
    another, store = opened(runtime), FeatureStore(folder)
    assert isinstance(another, KeepsFeatures)
    monkeypatch.setattr(another, "encode", lambda frames: pytest.fail("a frame is encoded again"))
    for found in (cold, ran(another, store)):
        assert np.array_equal(found.labels, expected.labels)
        assert found.tracks[1].confidence == expected.tracks[1].confidence
    assert expected.labels.any()
    assert store.misses == 0


def test_another_runtime_shares_nothing(kept):
    if not installed("torch"):
        pytest.skip("torch is not installed")
    store = FeatureStore(kept[0])
    ran(open_engine("voxtrace-small", "cpu", engine="torch"), store)
    assert store.hits == 0
    assert store.written > 0


def test_encoded_ahead_it_is_the_same_to_the_bit(engine, expected, monkeypatch):
    monkeypatch.setattr(engine, "ahead", True, raising=False)
    found = ran(engine)
    assert np.array_equal(found.labels, expected.labels)
    assert found.tracks[1].confidence == expected.tracks[1].confidence
