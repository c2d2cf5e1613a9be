"""Our SAM 2 on single images against Hugging Face's Sam2Model with the same random weights: maps, masks, IoU, score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2_twins import TOLERANCE, Twins, build_twins, film, marks, pixel_indices, pixels, small_config
from voxtrace.engines.torch import TorchEngine
from voxtrace.model.config import CONFIGS
from voxtrace.model.hiera import HieraConfig
from voxtrace.model.mask_decoder import Masks, choose
from voxtrace.prompts import FramePrompt

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
pytest.importorskip("transformers", reason="the twin net comes from transformers: pip install 'voxtrace[test]'")

PROMPTS = {
    "one click": marks((40, 70, 1)),
    "clicks": marks((40, 70, 1), (100, 30, 0), (61, 22, 1)),
    "box": marks(box=(20, 30, 70, 90)),
    "box and clicks": marks((40, 70, 1), (100, 30, 0), box=(20, 30, 70, 90)),
    "click at the border": marks((0, 127, 1)),
}


@pytest.fixture(scope="module", params=["2.1", "2.0"])
def twins(request: pytest.FixtureRequest) -> Twins:
    return build_twins(small_config(request.param), seed=2)


def difference(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    assert theirs.numel() < 10 or theirs.std() > 0.1  # a constant would agree by chance
    return float((ours - theirs).abs().max())


def maps_differ_by(twins: Twins, pictures: list[np.ndarray]) -> float:
    """Largest difference of the three maps that the decoder gets."""
    theirs = twins.image.get_image_embeddings(pixels(pictures))
    net = twins.ours
    encoded = net.encode(pixels(pictures))
    ours = [*encoded.high_res, encoded.embedding + net.no_mem_embed.reshape(1, -1, 1, 1)]
    return max(difference(o, t) for o, t in zip(ours, theirs, strict=True))


def answers(twins: Twins, prompt: FramePrompt, hint: Tensor | None = None) -> tuple[Masks, dict[bool, object]]:
    """Our four candidates, and Hugging Face's answers with multimask_output off and on."""
    picture = pixels(film(1, twins.ours.config.image_size))
    points, labels = pixel_indices(prompt)
    with torch.inference_mode():
        heads = twins.ours.begin(twins.ours.encode(picture), points, labels, hint)
        asked = {"input_points": points[None], "input_labels": labels[None], "input_masks": hint}
        theirs = {many: twins.image(picture, **asked, multimask_output=many) for many in (False, True)}
    assert heads.candidates is not None
    return heads.candidates, theirs


def assert_answers_equal(ours: Masks, theirs: dict[bool, object]) -> None:
    single, many = theirs[False], theirs[True]
    assert difference(ours.logits[:, 1:], many.pred_masks[0]) <= TOLERANCE  # type: ignore[attr-defined]
    assert difference(ours.iou[:, 1:], many.iou_scores[0]) <= TOLERANCE  # type: ignore[attr-defined]
    assert difference(ours.object_score, many.object_score_logits[0]) <= TOLERANCE  # type: ignore[attr-defined]
    chosen = choose(ours, ambiguous=False, stable=True)
    assert difference(chosen.logits, single.pred_masks[0]) <= TOLERANCE  # type: ignore[attr-defined]
    assert difference(chosen.iou, single.iou_scores[0]) <= TOLERANCE  # type: ignore[attr-defined]


def test_maps_equal_hugging_face(twins: Twins) -> None:
    assert maps_differ_by(twins, film(2, 128)) <= TOLERANCE


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_masks_iou_and_object_score_equal_hugging_face(twins: Twins, prompt: FramePrompt) -> None:
    assert_answers_equal(*answers(twins, prompt))


def test_masks_from_clicks_and_an_earlier_mask_equal_hugging_face(twins: Twins) -> None:
    hint = 5 * torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    assert_answers_equal(*answers(twins, PROMPTS["clicks"], hint))


def test_earlier_mask_changes_the_answer(twins: Twins) -> None:
    hint = 5 * torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(4))
    with_hint, without = answers(twins, PROMPTS["clicks"], hint)[0], answers(twins, PROMPTS["clicks"])[0]
    assert (with_hint.logits - without.logits).abs().max() > 0.01


def test_one_click_gives_the_best_of_three_masks_and_two_clicks_the_first(twins: Twins) -> None:
    engine = TorchEngine(twins.ours, "cpu")
    features = engine.encode(film(1, 128))[0]
    for prompt, index in ((PROMPTS["one click"], None), (PROMPTS["clicks"], 0)):
        candidates = answers(twins, prompt)[0]
        best = 1 + int(candidates.iou[0, 1:].argmax()) if index is None else index
        expected = choose(candidates, ambiguous=index is None, stable=True)
        assert index is None or expected.tokens.equal(candidates.tokens[:, :1])
        assert index is not None or expected.logits.equal(candidates.logits[:, best : best + 1])
        assert torch.allclose(engine.begin(features, [prompt]).heads.iou, expected.iou[0], atol=TOLERANCE)


def test_objects_of_one_image_are_decoded_together_as_they_are_alone(twins: Twins) -> None:
    engine = TorchEngine(twins.ours, "cpu")
    features = engine.encode(film(1, 128))[0]
    prompts = list(PROMPTS.values())
    together = engine.begin(features, prompts).logits
    alone = np.concatenate([engine.begin(features, [prompt]).logits for prompt in prompts])
    assert np.abs(together - alone).max() <= TOLERANCE


def test_wide_hiera_with_other_windows_and_grid_equals_hugging_face() -> None:
    """As base+ (two heads, a grid of 14) and large (windows of 8, 4, 16, 8) have it, on a size that pads windows."""
    trunk = HieraConfig(48, 2, (1, 1, 3, 1), (3,), windows=(8, 4, 16, 8), position_grid=(14, 14))
    twins = build_twins(replace(small_config(image_size=192), trunk=trunk))
    assert maps_differ_by(twins, film(1, 192)) <= TOLERANCE
    assert_answers_equal(*answers(twins, PROMPTS["box"]))


@pytest.mark.slow
@pytest.mark.parametrize("size", [512, 1024])
def test_released_size_equals_hugging_face(size: int) -> None:
    twins = build_twins(CONFIGS["sam2.1_hiera_tiny"].at(size))
    assert maps_differ_by(twins, film(1, size)) <= TOLERANCE
    for prompt in PROMPTS.values():
        assert_answers_equal(*answers(twins, prompt))
