"""EdgeTAM against Hugging Face's EdgeTamVideoModel: the same random weights must give the same masks on every frame."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from edgetam_twin import FRAMES, GONE, SIZE, TRUNK, Prompt, Walker, box, build_oracle, clicks, compare, disc
from sam2_twins import TOLERANCE, film, pixels
from voxtrace.checkpoints.hugging_face import to_official
from voxtrace.errors import ModelError
from voxtrace.model.config import CONFIGS
from voxtrace.model.perceiver import SpatialPerceiver
from voxtrace.model.sam2 import Encoded, Sam2

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def oracle() -> nn.Module:
    return build_oracle()


@pytest.fixture(scope="module")
def net(oracle: nn.Module) -> Sam2:
    net = Sam2(replace(CONFIGS["edgetam"].at(SIZE), trunk=TRUNK)).eval().requires_grad_(False)
    net.load_state_dict(to_official(oracle.state_dict()), strict=True)
    return net


@pytest.fixture(scope="module")
def video() -> Tensor:
    """(T, 3, S, S)."""
    return pixels(film(FRAMES, SIZE))


@pytest.fixture(scope="module")
def encoded(net: Sam2, video: Tensor) -> list[Encoded]:
    return [net.encode(frame[None]) for frame in video]


def test_official_key_and_parameter_counts() -> None:
    net = Sam2(CONFIGS["edgetam"])
    assert len(net.state_dict()) == 982
    assert sum(parameter.numel() for parameter in net.parameters()) == 13_895_794


def test_embedding_equals_hugging_face(net: Sam2, oracle: nn.Module, video: Tensor, encoded: list[Encoded]) -> None:
    with torch.inference_mode():
        theirs = oracle.get_image_features(video[:1], return_dict=True).fpn_hidden_states
    ours = [*encoded[0].high_res, encoded[0].embedding]
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.flatten(2).permute(2, 0, 1) - other).abs().max() <= TOLERANCE


def test_perceiver_equals_hugging_face(net: Sam2, oracle: nn.Module) -> None:
    memory = torch.randn(1, 64, 32, 32, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        place = oracle.memory_encoder.position_encoding(memory.shape, memory.device, memory.dtype)
        tokens, positions = oracle.spatial_perceiver(memory, place)
        kept = net.spatial_perceiver(memory)
    assert kept.shape == (1, 512, 64)
    assert (kept - tokens).abs().max() <= 1e-5
    assert (net.spatial_perceiver.positions(kept) - positions).abs().max() <= 1e-6


@pytest.mark.parametrize(
    ("objects", "start"),
    [
        pytest.param({1: [box(0, 120, 60, 300, 410)], 4: [clicks(0, (222, 317, 1))]}, 0, id="box-and-one-click"),
        pytest.param(
            {1: [clicks(6, (222, 317, 1), (90, 40, 0), (260, 300, 1))], 7: [disc(6, 350, 150, 70)]},
            6,
            id="points-and-mask-two-objects-both-ways",
        ),
        pytest.param(
            {1: [disc(5, 180, 260, 60), box(9, 120, 60, 300, 410)]}, 5, id="mask-and-a-second-prompted-frame-both-ways"
        ),
    ],
)
def test_every_frame_equals_hugging_face(
    net: Sam2, oracle: nn.Module, video: Tensor, encoded: list[Encoded], objects: dict[int, list[Prompt]], start: int
) -> None:
    with torch.inference_mode():
        found = compare(net, oracle, video, encoded, objects, start)
    assert found.compared >= FRAMES * len(objects)
    assert found.seen == {True}  # of absent objects only a constant would be compared
    assert found.masks <= TOLERANCE
    assert found.scores <= TOLERANCE
    assert found.kept <= TOLERANCE


def test_frames_without_the_object_equal_hugging_face(
    net: Sam2, oracle: nn.Module, video: Tensor, encoded: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    for head in (net.sam_mask_decoder.pred_obj_score_head.layers[2], oracle.mask_decoder.pred_obj_score_head.proj_out):
        monkeypatch.setattr(head.bias, "data", torch.full((1,), GONE))
    with torch.inference_mode():
        found = compare(net, oracle, video, encoded, {1: [disc(0, 350, 150, 70)]}, 0)
    assert found.seen == {True, False}
    assert max(found.masks, found.scores, found.kept) <= TOLERANCE


def test_what_is_followed_depends_on_what_was_marked(net: Sam2, encoded: list[Encoded]) -> None:
    """Were it not so, equal masks on followed frames would say nothing of the memory."""
    answers = []
    for prompt in (disc(0, 350, 150, 70), disc(0, 120, 300, 100)):
        walker = Walker(net, encoded)
        walker.prompt(prompt)
        answers.append([heads.logits for _, (_, heads) in zip(range(3), walker.walk(0, 1), strict=False)][2])
    assert (answers[0] - answers[1]).abs().max() > 1000 * TOLERANCE


def test_two_objects_in_one_batch_are_followed_as_one_by_one(net: Sam2, encoded: list[Encoded]) -> None:
    memories, pointers = [], []
    for prompt in (box(0, 120, 60, 300, 410), disc(0, 350, 150, 70)):
        walker = Walker(net, encoded)
        walker.prompt(prompt)
        memory, pointer = walker.prompted[0]
        memories.append(memory)
        pointers.append(pointer)
    alone = [
        net.follow(encoded[1], net.recall([(memory, 0)], [(pointer, 1)])).logits
        for memory, pointer in zip(memories, pointers, strict=True)
    ]
    both = net.follow(encoded[1], net.recall([(torch.cat(memories), 0)], [(torch.cat(pointers), 1)])).logits
    assert (both - torch.cat(alone)).abs().max() <= TOLERANCE


def test_perceiver_keeps_512_tokens_of_a_map_of_any_size() -> None:
    perceiver = SpatialPerceiver()
    assert [perceiver(torch.zeros(3, 64, side, side)).shape for side in (16, 32, 64)] == [(3, 512, 64)] * 3


def test_image_size_that_leaves_no_whole_windows_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="multiple of 256, not 384"):
        SpatialPerceiver()(torch.zeros(1, 64, 24, 24))
