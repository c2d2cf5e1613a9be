"""Facts about SAM 2 as a whole that need no other implementation: sizes, given masks, memories, pointers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seeded import randn
from voxtrace.model.config import CONFIGS
from voxtrace.model.hiera import HieraConfig
from voxtrace.model.object_pointer import hide_absent, pointer_tokens
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


@pytest.fixture(scope="module")
def net() -> Sam2:
    torch.manual_seed(0)
    config = CONFIGS["sam2.1_hiera_tiny"].at(64)
    return Sam2(replace(config, trunk=HieraConfig(16, 1, (1, 1, 1, 1), (2,)))).eval().requires_grad_(False)


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


def test_pointer_is_cut_into_memory_wide_tokens_in_order() -> None:
    tokens, places = pointer_tokens(torch.arange(12.0).reshape(1, 2, 6), torch.tensor([[1.0, 1, 1], [2, 2, 2]]))
    assert tokens.tolist() == [[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]]
    assert places[0, :, 0].tolist() == [1, 1, 2, 2]


def test_absent_object_points_to_the_learned_nothing() -> None:
    pointer, nothing = torch.ones(2, 3), torch.zeros(1, 3)
    assert hide_absent(pointer, torch.tensor([[0.1], [0.0]]), nothing).tolist() == [[1, 1, 1], [0, 0, 0]]
