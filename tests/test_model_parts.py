"""Facts about the parts of SAM 2 that need no other implementation: sizes, positions, windows, choices."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from voxtrace.model.config import CONFIGS
from voxtrace.model.hiera import HieraConfig, halve, windowed
from voxtrace.model.layers import LayerNorm2d
from voxtrace.model.mask_decoder import Masks, choose
from voxtrace.model.memory_attention import RoPEAttention
from voxtrace.model.neck import FpnNeck
from voxtrace.model.object_pointer import hide_absent, pointer_tokens
from voxtrace.model.position import PositionEmbeddingRandom, rotary_table, rotate, sine_map, time_sines
from voxtrace.model.prompt_encoder import PromptEncoder
from voxtrace.model.sam2 import Sam2

pytestmark = pytest.mark.torch

# name: keys of the state dict, parameters; as in the released files
SIZES = {
    "sam2.1_hiera_tiny": (471, 38_962_498),
    "sam2.1_hiera_small": (519, 46_060_354),
    "sam2.1_hiera_base_plus": (615, 80_850_178),
    "sam2.1_hiera_large": (903, 224_446_642),
    "sam2_hiera_tiny": (468, 38_945_986),
    "sam2_hiera_small": (516, 46_043_842),
    "sam2_hiera_base_plus": (612, 80_833_666),
    "sam2_hiera_large": (900, 224_430_130),
}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def net() -> Sam2:
    torch.manual_seed(0)
    config = CONFIGS["sam2.1_hiera_tiny"].at(64)
    return Sam2(replace(config, trunk=HieraConfig(16, 1, (1, 1, 1, 1), (2,)))).eval().requires_grad_(False)


# --- the whole net


@pytest.mark.parametrize("name", SIZES)
def test_keys_and_parameters_are_as_many_as_in_the_released_file(name: str) -> None:
    with torch.device("meta"):
        net = Sam2(CONFIGS[name])
    assert (len(net.state_dict()), sum(p.numel() for p in net.parameters())) == SIZES[name]


def test_version_2_0_lacks_three_tensors_of_2_1() -> None:
    with torch.device("meta"):
        new, old = (set(Sam2(CONFIGS[f"{name}_hiera_tiny"]).state_dict()) for name in ("sam2.1", "sam2"))
    assert new - old == {"obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias", "no_obj_embed_spatial"}
    assert not old - new


def test_image_size_changes_no_parameter() -> None:
    with torch.device("meta"):
        large, small = (Sam2(CONFIGS["sam2.1_hiera_tiny"].at(size)).state_dict() for size in (1024, 512))
    assert {k: v.shape for k, v in large.items()} == {k: v.shape for k, v in small.items()}


def test_encoding_gives_maps_at_strides_4_8_and_16(net: Sam2) -> None:
    encoded = net.encode(randn(2, 3, 64, 64))
    assert encoded.embedding.shape == (2, 256, 4, 4)
    assert [tuple(m.shape) for m in encoded.high_res] == [(2, 32, 16, 16), (2, 64, 8, 8)]


def test_given_mask_is_the_answer_and_not_predicted_again(net: Sam2) -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, :] = 1
    heads = net.begin_with_mask(net.encode(randn(1, 3, 64, 64)), mask)
    assert ((heads.logits > 0).repeat_interleave(4, 2).repeat_interleave(4, 3) == (mask > 0)).all()
    assert (heads.object_score.item(), heads.iou.item()) == (10, 1)


def test_empty_mask_says_that_the_object_is_absent(net: Sam2) -> None:
    heads = net.begin_with_mask(net.encode(randn(1, 3, 64, 64)), torch.zeros(1, 1, 64, 64))
    assert heads.object_score.item() == -10
    assert heads.pointer.equal(net.no_obj_ptr)


def test_prompted_memory_has_the_last_row_of_the_time_table_and_followed_ones_the_row_of_their_distance(
    net: Sam2,
) -> None:
    memory = randn(1, 64, 4, 4)
    places = {time: net.recall([(memory, time)], []).positions for time in (None, 0, 1, 6)}
    for time, row in ((0, 6), (1, 0), (6, 5)):
        expected = net.maskmem_tpos_enc[row].expand(1, 16, 64)
        assert torch.allclose(places[time] - places[None], expected, atol=1e-6)


def test_pointers_come_after_the_memories_four_tokens_each(net: Sam2) -> None:
    memories = [(randn(2, 64, 4, 4, seed=i), i) for i in range(3)]
    pointers = [(randn(2, 256, seed=i), i) for i in (1, 2)]
    memory = net.recall(memories, pointers)
    assert memory.tokens.shape == memory.positions.shape == (2, 3 * 16 + 2 * 4, 64)
    assert memory.pointers == 8
    assert memory.tokens[:, -4:].flatten(1).equal(pointers[1][0])


def test_prompted_frame_is_remembered_as_cut_at_zero(net: Sam2) -> None:
    encoded, score = net.encode(randn(1, 3, 64, 64)), torch.ones(1, 1)
    faint, strong = torch.full((1, 1, 16, 16), 0.1), torch.full((1, 1, 16, 16), 9.0)
    certain = [net.remember(encoded, logits, score, certain=True) for logits in (faint, strong)]
    guessed = [net.remember(encoded, logits, score, certain=False) for logits in (faint, strong)]
    assert certain[0].equal(certain[1])
    assert not guessed[0].equal(guessed[1])


def test_memory_of_a_frame_without_the_object_is_marked(net: Sam2) -> None:
    encoded, logits = net.encode(randn(1, 3, 64, 64)), randn(1, 1, 16, 16)
    seen, absent = (net.remember(encoded, logits, torch.full((1, 1), s), certain=False) for s in (1.0, -1.0))
    assert torch.allclose(absent - seen, net.no_obj_embed_spatial[..., None, None].expand_as(seen), atol=1e-5)


# --- positions


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
    attention = RoPEAttention(16, num_heads=1, kv_in_dim=8)
    query, memory = randn(1, 4, 16), randn(1, 2 * 4 + 3, 8, seed=1)
    unplaced, placed = memory.clone(), memory.clone()
    unplaced[:, [8, 10]] = memory[:, [10, 8]]
    placed[:, [0, 3]] = memory[:, [3, 0]]
    answer, same, other = (attention(query, m, m, unplaced=3) for m in (memory, unplaced, placed))
    assert torch.allclose(answer, same, atol=1e-6)
    assert not torch.allclose(answer, other, atol=1e-4)


# --- trunk and neck


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


# --- prompts


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


# --- choices


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


# --- pointers


def test_pointer_is_cut_into_memory_wide_tokens_in_order() -> None:
    tokens, places = pointer_tokens(torch.arange(12.0).reshape(1, 2, 6), torch.tensor([[1.0, 1, 1], [2, 2, 2]]))
    assert tokens.tolist() == [[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]]
    assert places[0, :, 0].tolist() == [1, 1, 2, 2]


def test_absent_object_points_to_the_learned_nothing() -> None:
    pointer, nothing = torch.ones(2, 3), torch.zeros(1, 3)
    assert hide_absent(pointer, torch.tensor([[0.1], [0.0]]), nothing).tolist() == [[1, 1, 1], [0, 0, 0]]
