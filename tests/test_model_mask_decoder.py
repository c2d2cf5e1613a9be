"""Prompts as tokens, and which of the decoder's four masks is taken."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from voxtrace.model.mask_decoder import Masks, choose
from voxtrace.model.prompt_encoder import PromptEncoder

pytestmark = pytest.mark.torch


def test_padding_point_is_embedded_alike_wherever_it_lies() -> None:
    encoder = PromptEncoder(8, image_size=32, embedding_size=2)
    points = torch.tensor([[[3.0, 4.0], [30.0, 1.0]]])
    sparse, _ = encoder(points, torch.tensor([[-1, -1]]))
    assert sparse[0, 0].equal(sparse[0, 1])


def test_kinds_of_points_differ_at_the_same_place() -> None:
    encoder = PromptEncoder(8, image_size=32, embedding_size=2)
    sparse, _ = encoder(torch.full((1, 5, 2), 7.0), torch.tensor([[-1, 0, 1, 2, 3]]))
    assert len({tuple(token.tolist()) for token in sparse[0]}) == 5


def test_point_0_is_the_centre_of_the_first_pixel() -> None:
    encoder = PromptEncoder(8, image_size=32, embedding_size=2)
    sparse, _ = encoder(torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.int32))
    expected = encoder.pe_layer(torch.full((1, 2), 0.5 / 32)) + encoder.point_embeddings[1].weight
    assert torch.allclose(sparse[0], expected, atol=1e-6)


def candidates(first: Tensor, iou: tuple[float, float, float, float]) -> Masks:
    """Four masks of one object, 10 x 10; the last three are constants 1, 2, 3, their tokens too."""
    others = torch.arange(1.0, 4)[:, None, None].expand(3, 10, 10)
    tokens = torch.arange(4.0)[None, :, None].expand(1, 4, 2)
    return Masks(torch.cat((first[None], others))[None], torch.tensor([iou]), tokens, torch.ones(1, 1))


STEEP = torch.where(torch.arange(100).reshape(10, 10) < 50, 5.0, -5.0)
FAINT = torch.where(torch.arange(100).reshape(10, 10) < 50, 0.04, -5.0)  # gone when cut at 0.05
EMPTY = torch.full((10, 10), -5.0)


def test_ambiguous_prompt_takes_the_best_of_the_last_three_and_its_token() -> None:
    chosen = choose(candidates(STEEP, (0.9, 0.2, 0.3, 0.1)), ambiguous=True, stable=True)
    assert (chosen.logits == 2).all()
    assert chosen.tokens.flatten().tolist() == [2, 2]
    assert chosen.iou.item() == pytest.approx(0.3)


@pytest.mark.parametrize("first", [STEEP, EMPTY], ids=["steep", "empty"])
def test_clear_prompt_takes_the_first_mask_when_it_is_stable(first: Tensor) -> None:
    chosen = choose(candidates(first, (0.1, 0.2, 0.3, 0.9)), ambiguous=False, stable=True)
    assert chosen.logits[0, 0].equal(first)


def test_unstable_first_mask_gives_way_to_the_best_of_three_but_keeps_its_token() -> None:
    chosen = choose(candidates(FAINT, (0.9, 0.2, 0.3, 0.4)), ambiguous=False, stable=True)
    assert (chosen.logits == 3).all()
    assert chosen.iou.item() == pytest.approx(0.4)
    assert chosen.tokens.flatten().tolist() == [0, 0]


def test_unstable_first_mask_stays_when_stability_is_not_asked_for() -> None:
    chosen = choose(candidates(FAINT, (0.9, 0.2, 0.3, 0.4)), ambiguous=False, stable=False)
    assert chosen.logits[0, 0].equal(FAINT)


@pytest.mark.parametrize(("inner", "kept"), [(98, True), (97, False)])
def test_mask_is_stable_from_98_percent(inner: int, kept: bool) -> None:
    first = torch.full((100,), 5.0)
    first[inner:] = 0.0  # inside when cut at -0.05, outside at 0.05
    chosen = choose(candidates(first.reshape(10, 10), (0.9, 0.2, 0.3, 0.4)), ambiguous=False, stable=True)
    assert bool((chosen.logits == 3).all()) != kept
