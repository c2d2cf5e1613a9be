"""The feature cache with nets on PyTorch: logits to the bit, cold, warm, and encoded ahead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sam2_twins import small_config  # noqa: E402
from test_engines_torch_sam1 import SQUASHED  # noqa: E402
from voxtrace.checkpoints import save  # noqa: E402
from voxtrace.checkpoints.nets import NetConfig, build  # noqa: E402
from voxtrace.engine import Engine, KeepsFeatures  # noqa: E402
from voxtrace.engines import open_engine  # noqa: E402
from voxtrace.engines.torch import TorchEngine  # noqa: E402
from voxtrace.feature_cache import FeatureStore  # noqa: E402
from voxtrace.model.config import CONFIGS  # noqa: E402
from voxtrace.model.resnet import ResNetConfig  # noqa: E402
from voxtrace.prompts import Box  # noqa: E402
from voxtrace.result import Result  # noqa: E402
from voxtrace.sessions import VolumeSession  # noqa: E402
from voxtrace.volume import Volume  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

SLICES = 5
HINTED = replace(CONFIGS["voxtrace-small"].at(32), trunk=ResNetConfig(depths=(1, 1, 1, 1)))
NETS = {"hinted": HINTED, "sam 2.1": small_config(image_size=64), "sam 1": SQUASHED}


@pytest.fixture(params=NETS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path / "net.safetensors", NETS[request.param])


def written(path: Path, config: NetConfig, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    save(path, build(config), config, {})
    return path


def volume() -> Volume:
    return Volume(np.random.default_rng(0).integers(0, 256, (SLICES, 40, 56), np.uint8))


def ran(engine: Engine, store: FeatureStore | None = None) -> Result:
    session = VolumeSession(engine, volume(), stop=None, cache=store)
    result = session.add(Box(0, 8, 10, 5, 30, 34)).run()
    if store is not None:
        store.close()
    return result


def assert_same(found: Result, expected: Result) -> None:
    assert np.array_equal(found.labels, expected.labels)
    assert found.tracks[1].confidence == expected.tracks[1].confidence, "to the bit"
    assert found.tracks[1].views == expected.tracks[1].views


class Forbidden(AssertionError):  # noqa: N818
    pass


def forbid_encoding(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(frames):
        raise Forbidden("a frame is encoded again")

    monkeypatch.setattr(engine, "encode", encode)


def opened(file: Path) -> Engine:
    return open_engine(str(file), "cpu")


def test_another_engine_on_the_same_file_only_decodes_and_finds_the_same_to_the_bit(file, tmp_path, monkeypatch):
    without = ran(opened(file))
    assert_same(ran(opened(file), FeatureStore(tmp_path / "cache")), without)
    engine = opened(file)
    forbid_encoding(engine, monkeypatch)
    assert_same(ran(engine, FeatureStore(tmp_path / "cache")), without)


def test_features_come_back_to_the_bit_with_their_strides(file, tmp_path):
    engine = opened(file)
    assert isinstance(engine, KeepsFeatures)
    (given,) = engine.encode([volume().array[0][..., None].repeat(3, -1)])
    with FeatureStore(tmp_path / "cache") as store:
        store.write("ab", lambda: engine.pack(given))
    arrays = store.read("ab")
    assert arrays is not None
    back = engine.unpack(arrays, given.shape)
    packed, again = engine.pack(given), engine.pack(back)
    assert list(packed) == list(again)
    for name, array in packed.items():
        assert array.tobytes() == again[name].tobytes()
        assert [s for s, n in zip(array.strides, array.shape, strict=True) if n > 1] == [
            s for s, n in zip(again[name].strides, array.shape, strict=True) if n > 1
        ]


def test_an_identity_holds_weights_config_and_threads(tmp_path):
    first = opened(written(tmp_path / "first.safetensors", HINTED))
    names = {
        "first": first.features_id,
        "other weights": opened(written(tmp_path / "other.safetensors", HINTED, seed=1)).features_id,
        "larger": opened(written(tmp_path / "larger.safetensors", HINTED.at(64))).features_id,
    }
    torch.set_num_threads(2)
    names["two threads"] = first.features_id
    torch.set_num_threads(1)
    assert len(set(names.values())) == len(names)
    (tmp_path / "copy.safetensors").write_bytes((tmp_path / "first.safetensors").read_bytes())
    assert opened(tmp_path / "copy.safetensors").features_id == names["first"], "where the file lies plays no part"


def test_a_net_made_in_memory_or_whose_file_was_replaced_has_no_identity(tmp_path):
    assert TorchEngine(build(HINTED), "cpu").features_id == ""
    file = written(tmp_path / "net.safetensors", HINTED)
    engine = opened(file)
    written(file, HINTED, seed=1)
    assert engine.features_id == ""


def test_encoded_ahead_the_masks_are_the_same_to_the_bit(file):
    expected, engine = ran(opened(file)), opened(file)
    engine.ahead = True  # type: ignore[attr-defined]
    assert_same(ran(engine), expected)


def test_the_other_thread_encodes_with_as_many_threads_of_its_own(file):
    torch.set_num_threads(2)
    try:
        expected, engine = ran(opened(file)), opened(file)
        engine.ahead = True  # type: ignore[attr-defined]
        assert_same(ran(engine), expected)
    finally:
        torch.set_num_threads(1)
