"""Windows of the trunk, its position embedding, the neck and the norm over channels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seeded import randn
from voxtrace.model.hiera import HieraConfig, halve, projected_windows, stretched, windowed
from voxtrace.model.layers import LayerNorm2d
from voxtrace.model.neck import FpnNeck

pytestmark = pytest.mark.torch


def test_windows_cut_pad_and_join_back_to_the_same_map() -> None:
    x = randn(2, 5, 7, 3)
    assert windowed(nn.Identity(), x, 4, (5, 7)).equal(x)


def test_window_sees_nothing_outside_itself() -> None:
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((1, 2), keepdim=True).expand_as(x)

    x = randn(1, 4, 8, 3)
    out = windowed(Mean(), x, 4, (4, 8))
    assert torch.allclose(out[0, 0, 0], x[0, :, :4].mean((0, 1)), atol=1e-6)
    assert torch.allclose(out[0, 3, 7], x[0, :, 4:].mean((0, 1)), atol=1e-6)


def test_window_zero_is_the_whole_map() -> None:
    class Shape(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.new_tensor(x.shape)

    assert windowed(Shape(), randn(1, 5, 7, 3), 0, (5, 7)).tolist() == [1, 5, 7, 3]


def test_windows_that_shrink_are_joined_to_half_the_map() -> None:
    class Halve(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return halve(x)

    x = randn(1, 6, 10, 3)
    assert windowed(Halve(), x, 4, (3, 5), shrink=2).equal(halve(x))


@pytest.mark.parametrize("size", [(6, 10), (8, 12)])  # windows to be filled up, and whole ones
def test_projection_before_the_windows_equals_the_one_inside_them(size: tuple[int, int]) -> None:
    project, x = nn.Linear(3, 4), randn(2, *size, 3)
    nn.init.normal_(project.bias)

    def attend(cut: Tensor) -> Tensor:
        return halve(cut * cut.mean((1, 2), keepdim=True))  # what is filled up counts in the mean

    small = (size[0] // 2, size[1] // 2)
    inside = windowed(lambda cut: attend(project(cut)), x, 4, small, shrink=2)
    assert torch.allclose(projected_windows(project, attend, x, 4, small, shrink=2), inside, atol=1e-6)


def test_what_is_filled_up_is_not_projected() -> None:
    tokens: list[int] = []
    project = nn.Linear(3, 3)
    project.register_forward_hook(lambda _, given, __: tokens.append(given[0][..., 0].numel()))
    projected_windows(project, nn.Identity(), randn(1, 5, 7, 3), 4, (5, 7))
    assert tokens == [5 * 7]


def test_stretched_table_is_torchs_bicubic_one() -> None:
    table = randn(1, 7, 5, 3)
    wanted = nn.functional.interpolate(table.movedim(3, 1), size=(24, 32), mode="bicubic").movedim(1, 3)
    assert torch.allclose(stretched(table, 24, 32), wanted, atol=1e-5)


def test_window_embedding_repeats_in_every_window_of_the_first_stage() -> None:
    trunk = HieraConfig(8, 1, (1, 1, 1, 1), (2,), windows=(4, 4, 4, 4)).build()
    nn.init.normal_(trunk.pos_embed_window)
    position = trunk._position(8, 12)[0]
    assert position[:4, :4].equal(position[4:, 8:])
    assert not position[:4, :4].equal(position[1:5, :4])


def test_neck_keeps_the_two_finest_maps_free_of_the_coarser_ones() -> None:
    torch.manual_seed(0)
    neck = FpnNeck(4, (2, 2, 2, 2))
    maps = [randn(1, 2, 16 >> i, 16 >> i, seed=i) for i in range(4)]
    before, after = neck(maps), neck([*maps[:3], maps[3] + 1])
    changed = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [False, False, True, True]


def test_norm_over_channels_is_torchs_layer_norm_of_each_pixel() -> None:
    norm, x = LayerNorm2d(5), randn(2, 5, 3, 4)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    expected = nn.functional.layer_norm(x.movedim(1, -1), (5,), norm.weight, norm.bias, norm.eps).movedim(-1, 1)
    assert torch.allclose(norm(x), expected, atol=1e-5)
