"""Nets that are shown a mask (`hinted`): what an encoded frame keeps, the verbs' shapes, what following looks at."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from voxtrace.model.config import CONFIGS
from voxtrace.model.hiera import HieraConfig
from voxtrace.model.resnet import ResNetConfig
from voxtrace.model.sam2 import NO_OBJECT_LOGIT, Encoded, Memory, Sam2, Shown
from voxtrace.model.vitdet import VitDetConfig

pytestmark = pytest.mark.torch

SIZE = 64
OBJECTS = 3


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def net() -> Sam2:
    """voxtrace-small with a shallow trunk, its zero weights taught and every object taken to be there."""
    torch.manual_seed(0)
    config = CONFIGS["voxtrace-small"].at(SIZE)
    net = Sam2(replace(config, trunk=ResNetConfig(depths=(1, 1, 1, 1)))).eval().requires_grad_(False)
    torch.nn.init.normal_(net.refiner.remembered.weight, std=0.1)
    net.refiner.presence[2].bias.fill_(20.0)
    return net


@pytest.fixture(scope="module")
def frame(net: Sam2) -> Encoded:
    return net.encode(randn(1, 3, SIZE, SIZE))


@pytest.fixture(scope="module")
def memory(net: Sam2, frame: Encoded) -> Memory:
    """One memory and pointer for each of the objects."""
    logits = 5 * randn(OBJECTS, 1, SIZE, SIZE, seed=1)
    remembered = net.remember(frame, logits, torch.ones(OBJECTS, 1), certain=True)
    return net.recall([(remembered, 0)], [(randn(OBJECTS, net.config.dim, seed=2), 1)])


def boxes() -> tuple[Tensor, Tensor]:
    corners = torch.tensor([[4.0, 8, 40, 24], [30, 2, 60, 50], [10, 40, 20, 60]]).reshape(OBJECTS, 2, 2)
    return corners, torch.tensor([[2, 3]]).expand(OBJECTS, -1)


# What an encoded frame keeps


def test_the_image_is_kept_with_mean_0_and_deviation_1(net: Sam2) -> None:
    encoded = net.encode(4 * randn(2, 3, SIZE, SIZE) + 7)
    assert encoded.image is not None
    assert encoded.image.shape == (2, 3, SIZE, SIZE)
    assert torch.allclose(encoded.image.mean((1, 2, 3)), torch.zeros(2), atol=1e-5)
    assert torch.allclose(encoded.image.std((1, 2, 3)), torch.ones(2), atol=1e-2)


def test_brightness_and_contrast_of_the_scan_change_nothing(net: Sam2) -> None:
    images = randn(1, 3, SIZE, SIZE)
    for one, other in zip(net.encode(images)[:3:2], net.encode(3 * images - 2)[:3:2], strict=True):
        assert torch.allclose(one, other, atol=1e-2)


def test_one_frame_and_some_frames_of_a_batch_keep_their_own_maps_and_image(net: Sam2) -> None:
    encoded = net.encode(randn(3, 3, SIZE, SIZE))
    assert encoded.image is not None
    for part, rows in ((encoded.frame(1), slice(1, 2)), (encoded.frames(slice(1, 3)), slice(1, 3))):
        assert part.image is not None
        assert part.image.equal(encoded.image[rows])
        assert part.embedding.equal(encoded.embedding[rows])
        for own, of_all in zip(part.high_res, encoded.high_res, strict=True):
            assert own.equal(of_all[rows])


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIGS["sam2.1_hiera_tiny"].at(SIZE), trunk=HieraConfig(16, 1, (1, 1, 1, 1), (2,))),
        replace(CONFIGS["efficienttam_ti"].at(SIZE), trunk=VitDetConfig(64, 2, depth=1)),
    ],
    ids=["with fine maps", "without"],
)
def test_nets_that_are_shown_no_mask_keep_no_image_and_draw_at_stride_4(config) -> None:
    net = Sam2(config).eval().requires_grad_(False)
    encoded = net.encode(randn(2, 3, SIZE, SIZE))
    assert net.hint_size == SIZE // 4
    assert encoded.image is None
    assert encoded.frame(1).image is None
    assert len(encoded.frames(slice(0, 2)).embedding) == 2


# Shapes of the four verbs


def assert_heads(net: Sam2, heads) -> None:
    assert heads.logits.shape == (OBJECTS, 1, SIZE, SIZE)
    assert heads.iou.shape == (OBJECTS,)
    assert heads.pointer.shape == (OBJECTS, net.config.dim)
    assert heads.object_score.shape == (OBJECTS, 1)


def test_begin_draws_every_object_in_every_pixel(net: Sam2, frame: Encoded) -> None:
    heads = net.begin(frame, *boxes())
    assert net.hint_size == SIZE
    assert_heads(net, heads)
    assert heads.candidates is not None
    assert heads.candidates.logits.shape == (OBJECTS, 4, SIZE, SIZE)


def test_begin_goes_on_from_a_known_mask(net: Sam2, frame: Encoded) -> None:
    known = 5 * randn(OBJECTS, 1, SIZE, SIZE, seed=3)
    heads = net.begin(frame, *boxes(), known)
    assert_heads(net, heads)
    assert not torch.allclose(heads.logits, net.begin(frame, *boxes()).logits)


def test_a_given_mask_is_the_answer_to_the_pixel(net: Sam2, frame: Encoded) -> None:
    masks = (randn(OBJECTS, 1, SIZE, SIZE, seed=3) > 0.5).float()
    heads = net.begin_with_mask(frame, masks)
    assert_heads(net, heads)
    assert heads.logits.equal(masks * 20 - 10)
    assert (heads.object_score == 10).all()


def test_following_a_frame_gives_the_same_shapes_with_and_without_the_frame_before(
    net: Sam2, frame: Encoded, memory: Memory
) -> None:
    assert frame.image is not None
    assert_heads(net, net.follow(frame, memory))
    assert_heads(net, net.follow(frame, memory, Shown(randn(OBJECTS, 1, SIZE, SIZE), frame.image)))


def test_full_size_masks_are_remembered_as_maps_at_stride_16(net: Sam2, frame: Encoded) -> None:
    heads = net.begin(frame, *boxes())
    for certain in (True, False):
        remembered = net.remember(frame, heads.logits, heads.object_score, certain)
        assert remembered.shape == (OBJECTS, net.config.memory_dim, SIZE // 16, SIZE // 16)


# What following looks at


def shown_before() -> Shown:
    return Shown(5 * randn(OBJECTS, 1, SIZE, SIZE, seed=4), randn(OBJECTS, 3, SIZE, SIZE, seed=5))


def test_following_looks_at_the_mask_and_at_the_image_before_and_at_the_memories(
    net: Sam2, frame: Encoded, memory: Memory
) -> None:
    before = shown_before()
    others = [
        (memory, before._replace(logits=before.logits.flip(-1))),
        (memory, before._replace(image=before.image.flip(-1))),
        (memory._replace(tokens=memory.tokens.flip(-1)), before),
        (memory,),
    ]
    drawn = net.follow(frame, memory, before).logits
    assert all((drawn - net.follow(frame, *other).logits).abs().max() > 0.01 for other in others)


def test_no_frame_before_is_a_mask_that_knows_nothing_on_the_frame_itself(
    net: Sam2, frame: Encoded, memory: Memory
) -> None:
    assert frame.image is not None
    nothing = Shown(torch.zeros(OBJECTS, 1, SIZE, SIZE), frame.image)
    assert net.follow(frame, memory).logits.equal(net.follow(frame, memory, nothing).logits)


def test_an_object_absent_before_is_shown_as_surely_outside_and_no_surer(
    net: Sam2, frame: Encoded, memory: Memory
) -> None:
    absent, outside = (
        net.follow(frame, memory, shown_before()._replace(logits=torch.full((OBJECTS, 1, SIZE, SIZE), value)))
        for value in (NO_OBJECT_LOGIT, -10.0)
    )
    assert absent.logits.equal(outside.logits)


def test_objects_decoded_together_are_those_decoded_alone(net: Sam2, frame: Encoded, memory: Memory) -> None:
    before, (points, labels) = shown_before(), boxes()
    begun, followed = net.begin(frame, points, labels), net.follow(frame, memory, before)
    for index in range(OBJECTS):
        own = slice(index, index + 1)
        remembered = Memory(memory.tokens[own], memory.positions[own], memory.pointers)
        alone = net.begin(frame, points[own], labels[own])
        later = net.follow(frame, remembered, Shown(before.logits[own], before.image[own]))
        for one, all_of_them in ((alone, begun), (later, followed)):
            assert torch.allclose(one.logits, all_of_them.logits[own], atol=1e-4)
            assert torch.allclose(one.object_score, all_of_them.object_score[own], atol=1e-4)
            assert torch.allclose(one.pointer, all_of_them.pointer[own], atol=1e-4)


def test_where_the_object_was_on_a_frame_that_is_not_placed_makes_no_difference(
    net: Sam2, frame: Encoded, memory: Memory
) -> None:
    shown = shown_before()._replace(placed=False)
    elsewhere = shown._replace(logits=shown.logits.roll((9, 17), (2, 3)), image=shown.image.roll((9, 17), (2, 3)))
    found = net.follow(frame, memory, shown).logits
    torch.testing.assert_close(net.follow(frame, memory, elsewhere).logits, found, atol=1e-4, rtol=1e-4)
    other_looks = shown._replace(image=shown.image.flip(2))
    assert (net.follow(frame, memory, other_looks).logits - found).abs().max() > 1e-2
    placed = net.follow(frame, memory, shown._replace(placed=True)).logits
    moved = net.follow(frame, memory, elsewhere._replace(placed=True)).logits
    assert (moved - placed).abs().max() > 1e-2
