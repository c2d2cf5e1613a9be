"""Memory attention against its definition: SAM 2's own order of steps, with complex numbers and full-width values."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from seeded import randn
from voxtrace.model import memory_attention
from voxtrace.model.memory_attention import MemoryAttention, MemoryAttentionLayer, RoPEAttention
from voxtrace.model.perceiver import RoPEAttentionV2

pytestmark = pytest.mark.torch
DIM, MEMORY_DIM, SIDE, MEMORIES, POINTERS = 16, 4, 3, 2, 5
QUERIES, KEYS = SIDE**2, MEMORIES * SIDE**2 + POINTERS


def seeded_net(net: nn.Module) -> nn.Module:
    for seed, parameter in enumerate(net.parameters()):
        parameter.data = randn(*parameter.shape, seed=seed) / parameter[0].numel() ** 0.5
    return net


def angles(side: int) -> Tensor:
    """(side * side, DIM / 2) complex numbers of length 1: x in the first half of the pairs, y in the second."""
    frequencies = 10_000.0 ** -(torch.arange(0, DIM, 4) / DIM)
    y, x = (t.flatten().float() for t in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"))
    turns = torch.cat((torch.outer(x, frequencies), torch.outer(y, frequencies)), dim=1)
    return torch.polar(torch.ones_like(turns), turns)


def turned(x: Tensor, by: Tensor) -> Tensor:
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * by).flatten(-2)


def by_definition(attention: RoPEAttention, q: Tensor, k: Tensor, v: Tensor, key_angles: Tensor) -> Tensor:
    query = turned(attention.q_proj(q), angles(SIDE))
    key, value = attention.k_proj(k), attention.v_proj(v)
    placed = len(key_angles)
    key = torch.cat((turned(key[:, :placed], key_angles), key[:, placed:]), dim=1)
    weights = (query @ key.mT / math.sqrt(DIM)).softmax(-1)
    return attention.out_proj(weights @ value)


def inputs(objects: int = 2) -> list[Tensor]:
    shapes = (objects, QUERIES, DIM), (objects, KEYS, MEMORY_DIM), (objects, KEYS, MEMORY_DIM)
    return [randn(*shape, seed=seed) for seed, shape in enumerate(shapes)]


@pytest.fixture
def attention() -> RoPEAttention:
    return seeded_net(RoPEAttention(DIM, MEMORY_DIM))  # type: ignore[return-value]


def close(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).norm() <= 1e-5 * b.norm())


def test_answer_and_gradients_are_those_of_the_definition(attention: RoPEAttention) -> None:
    given = [x.requires_grad_() for x in inputs()]
    wanted = by_definition(attention, *given, angles(SIDE).repeat(MEMORIES, 1))
    found = attention(*given, unplaced=POINTERS)
    assert close(found, wanted)
    sources = [*given, *attention.parameters()]
    pull = randn(*found.shape, seed=9)
    ours, theirs = (torch.autograd.grad(out, sources, pull) for out in (found, wanted))
    names = ["q", "k", "v", *dict(attention.named_parameters())]
    for name, own, other in zip(names, ours, theirs, strict=True):
        if name != "k_proj.bias":  # it shifts all unplaced scores alike: next to no gradient, of rounding alone
            assert close(own, other), name


def test_nets_that_keep_fewer_tokens_turn_the_placed_ones_alone() -> None:
    attention = seeded_net(RoPEAttentionV2(DIM, MEMORY_DIM, free=3, placed=4))
    q, _, _ = inputs()
    k, v = (randn(2, 2 * (3 + 4) + POINTERS, MEMORY_DIM, seed=seed) for seed in (3, 4))
    one = torch.cat((torch.ones(3, DIM // 2, dtype=torch.complex64), angles(2)))
    wanted = by_definition(attention, q, k, v, one.repeat(2, 1))  # type: ignore[arg-type]
    assert close(attention(q, k, v, unplaced=POINTERS), wanted)


@pytest.mark.parametrize("kept", [0, 10**9])
def test_pieces_of_queries_give_the_same_answer_and_gradients(
    attention: RoPEAttention, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    given = [x.requires_grad_() for x in inputs()]
    whole = attention(*given, unplaced=POINTERS)
    monkeypatch.setattr(memory_attention, "MOST_SCORES", 4 * KEYS)  # nine queries: four, four and one
    monkeypatch.setattr(memory_attention, "KEPT_SCORES", kept)
    pieces = attention(*given, unplaced=POINTERS)
    assert close(pieces, whole)
    for own, other in zip(*(torch.autograd.grad(out.square().sum(), given) for out in (pieces, whole)), strict=True):
        assert close(own, other)


def test_scores_held_at_once_are_bounded(attention: RoPEAttention, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    scored = memory_attention._scored

    def watched(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        held.append(query.shape[0] * key.shape[0])
        return scored(query, key, value)

    monkeypatch.setattr(memory_attention, "_scored", watched)
    monkeypatch.setattr(memory_attention, "MOST_SCORES", 4 * KEYS)
    with torch.no_grad():
        attention(*inputs(objects=3), unplaced=POINTERS)
    assert max(held) <= 4 * KEYS
    assert sum(held) == 3 * QUERIES * KEYS


def test_embedding_that_objects_share_is_given_once() -> None:
    layers: list[nn.Module] = [MemoryAttentionLayer(DIM, MEMORY_DIM, 32) for _ in range(2)]
    net = seeded_net(MemoryAttention(layers, DIM))
    one, position = randn(1, DIM, SIDE, SIDE, seed=1), randn(1, DIM, SIDE, SIDE, seed=2)
    memory, places = randn(3, KEYS, MEMORY_DIM, seed=3), randn(3, KEYS, MEMORY_DIM, seed=4)
    shared = net(one, position, memory, places, unplaced=POINTERS)
    repeated = net(one.expand(3, -1, -1, -1), position, memory, places, unplaced=POINTERS)
    assert shared.shape == (3, DIM, SIDE, SIDE)
    assert close(shared, repeated)


def test_bfloat16_stays_near(attention: RoPEAttention) -> None:
    given = inputs()
    wanted = attention(*given, unplaced=POINTERS)
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(*given, unplaced=POINTERS)
    assert found.dtype == torch.bfloat16
    assert (found.float() - wanted).norm() <= 2e-2 * wanted.norm()
