"""bfloat16 on PyTorch: the same masks but for their borders, whatever the device; here on the CPU, where it is slow."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2_twins import build_ours, film, marks, our_masks, small_config
from voxtrace.bench.speed.work import Work, mean_iou
from voxtrace.engine import Recalled
from voxtrace.engines import open_engine
from voxtrace.engines.torch import TorchEngine, pick_precision
from voxtrace.errors import ModelError
from voxtrace.prompts import Box
from voxtrace.sessions import VolumeSession
from voxtrace.volume import Volume

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
SIDE = 128
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return film(4, SIDE)


def engine(precision: str) -> TorchEngine:
    return TorchEngine(build_ours(small_config(), present=30.0), "cpu", precision=precision)


def test_sam2_follows_in_bfloat16_as_in_float32(pictures: list[np.ndarray]) -> None:
    objects = {1: {0: marks(box=(20, 30, 70, 90))}, 2: {0: marks((40, 70, 1))}}
    walked = {p: our_masks(engine(p), pictures, objects, 0) for p in ("fp32", "bf16")}
    wide, narrow = (np.stack([logits for logits, _ in masks.values()], axis=1) for masks in walked.values())
    assert (wide != narrow).any()
    relative = np.linalg.norm(narrow - wide) / np.linalg.norm(wide)
    assert relative < 0.05  # random weights sharpen every difference; trained ones do not
    assert mean_iou(wide > 0, narrow > 0) > 0.95


def test_marks_are_decoded_in_float32(pictures: list[np.ndarray]) -> None:
    """Their places, of up to 1024 pixels, would be rounded to eight bits."""
    wide, narrow = engine("fp32"), engine("bf16")
    (features,) = wide.encode(pictures[:1])
    prompt = marks(box=(21, 33, 70, 90))
    assert np.array_equal(wide.begin(features, [prompt]).logits, narrow.begin(features, [prompt]).logits)


def test_what_is_kept_is_float32(pictures: list[np.ndarray]) -> None:
    narrow = engine("bf16")
    (features,) = narrow.encode(pictures[:1])
    decoded = narrow.begin(features, [marks((40, 70, 1))])
    (entry,) = narrow.remember(features, decoded, 0, prompted=True)
    followed = narrow.follow(features, [Recalled(memories=((entry, 0),), pointers=((entry, 0),))])
    heads = followed.heads
    kept = [features.encoded.embedding, *features.encoded.high_res, entry.memory, entry.pointer, *heads[:4]]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


def test_places_are_not_rounded_where_products_are(pictures: list[np.ndarray]) -> None:
    embedding = engine("fp32").model.sam_prompt_encoder.pe_layer
    points = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        narrow = embedding(points)
    assert narrow.equal(embedding(points))


def test_embedded_net_draws_the_same_volume_in_bfloat16() -> None:
    volume = Volume(Work(5, SIDE).volume())
    y0, x0, y1, x1 = Work(5, SIDE).boxes()[0]
    found = []
    for precision in ("fp32", "bf16"):
        used = open_engine("voxtrace-small", "cpu", engine="torch", precision=precision)
        result = VolumeSession(used, volume, stop=None).add(Box.on_slice(2, y0, x0, y1, x1)).run()
        found.append(result.labels > 0)
    wide, narrow = found
    assert wide[2].any()
    assert mean_iou(wide[None], narrow[None]) > 0.97


def test_auto_is_float32_on_a_cpu_and_other_names_are_refused() -> None:
    assert pick_precision("auto", CPU) == "fp32"
    assert pick_precision("bf16", CPU) == "bf16"
    with pytest.raises(ModelError, match="'fp16' is unknown; one of auto, fp32, bf16"):
        pick_precision("fp16", CPU)


def test_kept_features_tell_the_precision_they_were_computed_in() -> None:
    ids = {open_engine("voxtrace-small", "cpu", engine="torch", precision=p).features_id for p in ("fp32", "bf16")}
    assert len(ids) == 2
