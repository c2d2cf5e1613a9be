"""Positions: sines of places and times, and rotations that depend on the way between two places."""

from __future__ import annotations

import math

import pytest
import torch

from seeded import randn
from voxtrace.model.memory_attention import RoPEAttention
from voxtrace.model.position import PositionEmbeddingRandom, rotary_table, rotate, sine_map, time_sines

pytestmark = pytest.mark.torch


def test_sine_map_tells_rows_in_its_first_half_and_columns_in_its_second() -> None:
    rows, columns = sine_map(torch.zeros(1, 8, 3, 5))[0].chunk(2)
    assert (rows == rows[:, :, :1]).all()
    assert (columns == columns[:, :1]).all()
    assert torch.allclose(rows[0, :, 0], (2 * math.pi * torch.tensor([1.0, 2.0, 3.0]) / 3).sin(), atol=1e-5)
    assert torch.allclose(columns[1, 0], (2 * math.pi * torch.arange(1, 6) / 5).cos(), atol=1e-5)


def test_time_zero_is_sines_of_0_then_cosines_of_1() -> None:
    assert time_sines(torch.zeros(1), 8).tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


def test_time_is_signed() -> None:
    ahead, behind = time_sines(torch.tensor([-0.5, 0.5]), 8)
    assert torch.allclose(ahead[:4], -behind[:4])
    assert torch.allclose(ahead[4:], behind[4:])


def test_grid_holds_the_features_of_the_cells_centres() -> None:
    embedding = PositionEmbeddingRandom(4)
    centre = embedding(torch.tensor([[(3 + 0.5) / 5, (1 + 0.5) / 2]]))  # x, y
    assert torch.allclose(embedding.grid(2, 5)[0, :, 1, 3], centre[0], atol=1e-5)


def test_rotary_table_follows_x_in_its_first_half_and_y_in_its_second() -> None:
    cosine, _ = rotary_table(16, 3, 5, torch.device("cpu"))
    along_x, along_y = cosine.unflatten(0, (3, 5)).chunk(2, dim=-1)
    assert (along_x == along_x[:1]).all()
    assert (along_y == along_y[:, :1]).all()
    assert torch.allclose(along_x[0, :, 0], torch.arange(5.0).cos())


def test_rotated_pair_depends_on_the_shift_between_places_only() -> None:
    table = rotary_table(16, 4, 6, torch.device("cpu"))
    query, key = (rotate(randn(1, 16, seed=i).expand(24, 16), table) for i in (1, 2))
    product = query @ key.T
    shift = 6 + 1  # one row down, one column right
    assert torch.allclose(product[0, shift], product[2 * 6 + 3, 2 * 6 + 3 + shift], atol=1e-4)
    assert not torch.allclose(product[0, 0], product[0, shift], atol=1e-4)


def test_rotation_keeps_lengths_and_leaves_the_first_place_alone() -> None:
    x = randn(12, 16)
    turned = rotate(x, rotary_table(16, 3, 4, torch.device("cpu")))
    assert turned[0].equal(x[0])
    assert torch.allclose(turned.norm(dim=1), x.norm(dim=1), atol=1e-5)


def test_order_of_unplaced_tokens_means_nothing_and_that_of_placed_ones_does() -> None:
    torch.manual_seed(0)
    attention = RoPEAttention(16, kv_in_dim=8)
    query, memory = randn(1, 4, 16), randn(1, 2 * 4 + 3, 8, seed=1)
    unplaced, placed = memory.clone(), memory.clone()
    unplaced[:, [8, 10]] = memory[:, [10, 8]]
    placed[:, [0, 3]] = memory[:, [3, 0]]
    answer, same, other = (attention(query, m, m, unplaced=3) for m in (memory, unplaced, placed))
    assert torch.allclose(answer, same, atol=1e-6)
    assert not torch.allclose(answer, other, atol=1e-4)
