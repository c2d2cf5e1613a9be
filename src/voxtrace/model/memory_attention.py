"""Memory attention: the frame's embedding looks at itself and at what is remembered, with rotary positions.

Keys outnumber queries seven to one here and are four times as wide as what is kept, so two things are done in another
order than in SAM 2, at equal results: values are projected after the attention, while they are few, and the rotation
acts on halves of the channels instead of neighbours, which the projections are permuted for.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from voxtrace.model.position import rotary_table, rotate
from voxtrace.model.two_way import Attention

MOST_SCORES = 2**22  # computed at once on a CPU: 16 MB, half of one object's at 512 px; larger ones leave its cache
KEPT_SCORES = 2**20  # most that are kept for a gradient; more are computed again


class RoPEAttention(Attention):
    """Attention with one wide head whose queries and keys are turned by their place in a square map.

    Keys may be several maps in a row (one a memory), then `unplaced` tokens that have no place (pointers).
    """

    def __init__(self, dim: int, kv_in_dim: int | None = None) -> None:
        super().__init__(dim, num_heads=1, kv_in_dim=kv_in_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, unplaced: int = 0) -> Tensor:
        """(B or 1, Nq, C), (B, Nk, C'), (B, Nk, C') -> (B, Nq, C)."""
        query, key = (F.linear(x, *_in_halves(layer)) for x, layer in ((q, self.q_proj), (k, self.k_proj)))
        side = math.isqrt(q.shape[1])
        table = rotary_table(query.shape[-1], side, side, q.device)
        one = self.memory_table(table)
        placed, free = key.split((key.shape[1] - unplaced, unplaced), dim=1)
        turned = rotate(placed.unflatten(1, (-1, len(one[0]))), one).flatten(1, 2)
        key = torch.cat((turned, free), dim=1) if unplaced else turned
        query = rotate(query, table).expand(key.shape[0], -1, -1)
        # What is summed with weights of sum 1 may be projected before or after, bias included.
        return self.out_proj(self.v_proj(attend(query, key, v)))

    def memory_table(self, table: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The rotary table of one memory's tokens, given the queries': the same, as a memory is a map like them."""
        return table


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(B, Nq, C), (B, Nk, C), (B, Nk, C') -> (B, Nq, C'): softmax attention.

    torch's kernel on a CPU wants values as wide as keys. Written out with narrow ones it is a quarter faster; the
    scores, which the kernel would not keep, are then bounded by pieces of queries.
    """
    if query.is_cuda or query.shape[-1] == value.shape[-1]:
        return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
    if torch.compiler.is_compiling():  # the number of objects is open in a graph
        return _scored(query, key, value)
    again = torch.is_grad_enabled() and query.shape[1] * key.shape[1] > KEPT_SCORES
    scored = partial(checkpoint, _scored, use_reentrant=False) if again else _scored
    pieces = -(-query.shape[1] * key.shape[1] // MOST_SCORES)
    return torch.stack(
        [torch.cat([scored(few, k, v) for few in q.chunk(pieces)]) for q, k, v in zip(query, key, value, strict=True)]
    )


def _scored(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return torch.softmax(scores, dim=-1) @ value


def _in_halves(layer: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias whose outputs are first all even channels, then all odd ones.

    The names and values of the state stay official; products of queries and keys that are both permuted are the same.
    """
    weight, bias = (x.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1) for x in (layer.weight, layer.bias))
    return weight, bias


class MemoryAttentionLayer(nn.Module):
    """Self-attention, attention to the memories, perceptron; norms come first."""

    def __init__(self, dim: int, memory_dim: int, mlp_dim: int, cross_attention: nn.Module | None = None) -> None:
        super().__init__()
        self.self_attn = RoPEAttention(dim)
        self.cross_attn_image = cross_attention or RoPEAttention(dim, kv_in_dim=memory_dim)
        self.linear1 = nn.Linear(dim, mlp_dim)
        self.linear2 = nn.Linear(mlp_dim, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, **layout: int) -> Tensor:
        """(B or 1, N, C) and what is remembered, with and without its places (B, M, memory_dim) -> (B, N, C)."""
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed, normed)
        x = x + self.cross_attn_image(self.norm2(x), keys, values, **layout)
        return x + self.linear2(F.relu(self.linear1(self.norm3(x))))


class MemoryAttention(nn.Module):
    """`layers` in a row and a last norm."""

    def __init__(self, layers: list[nn.Module], dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(dim)

    def forward(self, embedding: Tensor, position: Tensor, memory: Tensor, memory_pos: Tensor, **layout: int) -> Tensor:
        """(B or 1, C, h, w) conditioned on (B, M, memory_dim) tokens -> (B, C, h, w).

        An embedding that all objects share is given once: it looks at itself once.
        layout: what the cross-attention must know of the tokens' order, e.g. `unplaced`, the pointers at the end.
        """
        x = (embedding + 0.1 * position).flatten(2).transpose(1, 2)
        keys = memory + memory_pos
        for layer in self.layers:
            x = layer(x, keys, memory, **layout)
        return self.norm(x).transpose(1, 2).unflatten(2, embedding.shape[-2:])
