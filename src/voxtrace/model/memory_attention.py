"""Memory attention: the frame's embedding looks at itself and at what is remembered, with rotary positions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.position import rotary_table, rotate
from voxtrace.model.two_way import Attention


class RoPEAttention(Attention):
    """Attention whose queries and keys are turned by their place in a square map.

    Keys may be several maps in a row (one a memory), then `unplaced` tokens that have no place (pointers).
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor, unplaced: int = 0) -> Tensor:
        """(B, Nq, C), (B, Nk, C'), (B, Nk, C') -> (B, Nq, C)."""
        query, key, value = (self._heads(t) for t in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        side = math.isqrt(q.shape[1])
        table = rotary_table(query.shape[-1], side, side, q.device)
        placed = key.shape[2] - unplaced
        one = self.memory_table(table)
        memories = placed // len(one[0])
        key_table = (one[0].repeat(memories, 1), one[1].repeat(memories, 1))
        key = torch.cat((rotate(key[:, :, :placed], key_table), key[:, :, placed:]), dim=2)
        out = F.scaled_dot_product_attention(rotate(query, table), key, value)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def memory_table(self, table: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The rotary table of one memory's tokens, given the queries': the same, as a memory is a map like them."""
        return table


class MemoryAttentionLayer(nn.Module):
    """Self-attention, attention to the memories, perceptron; norms come first."""

    def __init__(self, dim: int, memory_dim: int, mlp_dim: int, cross_attention: nn.Module | None = None) -> None:
        super().__init__()
        self.self_attn = RoPEAttention(dim, num_heads=1)
        self.cross_attn_image = cross_attention or RoPEAttention(dim, num_heads=1, kv_in_dim=memory_dim)
        self.linear1 = nn.Linear(dim, mlp_dim)
        self.linear2 = nn.Linear(mlp_dim, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(self, x: Tensor, memory: Tensor, memory_pos: Tensor, **layout: int) -> Tensor:
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed, normed)
        x = x + self.cross_attn_image(self.norm2(x), memory + memory_pos, memory, **layout)
        return x + self.linear2(F.relu(self.linear1(self.norm3(x))))


class MemoryAttention(nn.Module):
    """`layers` in a row and a last norm."""

    def __init__(self, layers: list[nn.Module], dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(dim)

    def forward(self, embedding: Tensor, position: Tensor, memory: Tensor, memory_pos: Tensor, **layout: int) -> Tensor:
        """(B, C, h, w) conditioned on (B, M, memory_dim) tokens -> (B, C, h, w).

        layout: what the cross-attention must know of the tokens' order, e.g. `unplaced`, the pointers at the end.
        """
        x = (embedding + 0.1 * position).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, memory, memory_pos, **layout)
        return self.norm(x).transpose(1, 2).reshape(embedding.shape)
