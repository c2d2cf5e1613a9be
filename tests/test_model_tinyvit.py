"""LiteMedSAM (SAM 1 with TinyViT) against written-out facts: names, shapes, attention token by token."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from voxtrace.model.sam1 import LITEMEDSAM, Sam1  # noqa: E402
from voxtrace.model.tinyvit import BiasedAttention, TinyVit, TinyVitBlock, TinyVitConfig, window_distances  # noqa: E402

pytestmark = pytest.mark.torch


def test_litemedsam_has_the_official_key_and_parameter_counts():
    net = Sam1(LITEMEDSAM)
    assert len(net.state_dict()) == 435
    assert sum(p.numel() for p in net.parameters()) == 9_791_300


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("patch_embed.seq.0.c.weight", (32, 3, 1, 1)),
        ("patch_embed.seq.2.bn.running_var", (64,)),
        ("layers.0.blocks.1.conv2.c.weight", (256, 1, 3, 3)),
        ("layers.0.downsample.conv1.c.weight", (128, 64, 1, 1)),
        ("layers.1.blocks.0.attn.attention_biases", (4, 49)),
        ("layers.2.blocks.5.attn.attention_biases", (5, 196)),
        ("layers.2.blocks.5.mlp.norm.weight", (160,)),
        ("layers.2.downsample.conv2.c.weight", (320, 1, 3, 3)),
        ("layers.3.blocks.1.attn.qkv.weight", (960, 320)),
        ("layers.3.blocks.1.local_conv.c.weight", (320, 1, 3, 3)),
        ("layers.3.blocks.1.mlp.fc2.weight", (320, 1280)),
        ("neck.3.bias", (256,)),
    ],
)
def test_tinyvit_has_the_official_names_and_shapes(name, shape):
    with torch.device("meta"):
        state = TinyVit(TinyVitConfig(), 256).state_dict()
    assert state[name].shape == shape


def test_litemedsam_makes_a_quarter_size_embedding_and_a_full_size_mask():
    net = Sam1(LITEMEDSAM).eval()
    with torch.inference_mode():
        embedding = net.encode(torch.rand(1, 3, 256, 256))
        masks = net.begin(embedding, torch.tensor([[[20.0, 40.0], [140.0, 180.0]]]), torch.tensor([[2, 3]]))
    assert embedding.shape == (1, 256, 64, 64)
    assert masks.logits.shape == (1, 4, 256, 256)


SMALL_TINY = TinyVitConfig(32, (8, 16, 20, 24), (1, 1, 1, 1), (2, 4, 5, 6), (3, 3, 5, 3))


def test_in_eval_mode_an_image_does_not_depend_on_the_others_of_its_batch():
    net = TinyVit(SMALL_TINY, 16)
    generator = torch.Generator().manual_seed(6)
    images = torch.rand(3, 3, 32, 32, generator=generator)
    with torch.no_grad():
        net.train()(images)  # moves the batch norms' averages away from 0 and 1
        net.eval()
        assert (net(images)[1:2] - net(images[1:2])).abs().max() < 1e-5


def test_distances_in_a_window_are_counted_row_by_row_whatever_the_direction():
    distances = window_distances(3)
    first, last = 0, 5  # (row 0, column 0) and (row 1, column 2)
    assert distances[first, last] == 1 * 3 + 2
    assert (distances == distances.T).all()
    assert (distances.diagonal() == 0).all()


def test_biased_attention_equals_its_formula_token_by_token():
    attention = _random(BiasedAttention(6, 2, 3), seed=7)
    x = torch.randn(1, 3, 3, 6, generator=torch.Generator().manual_seed(8))
    assert (attention(x) - _by_hand(attention, x[0])).abs().max() < 1e-5


def test_zeros_that_fill_up_a_window_are_normed_and_attended_to():
    block = _random(TinyVitBlock(6, 2, 3), seed=9)
    x = torch.randn(1, 6, 4, 4, generator=torch.Generator().manual_seed(10))
    attended = x.permute(0, 2, 3, 1).clone()
    for row, column in product((0, 3), (0, 3)):
        window = torch.zeros(3, 3, 6)
        part = x[0, :, row : row + 3, column : column + 3].permute(1, 2, 0)
        window[: part.shape[0], : part.shape[1]] = part
        answer = _by_hand(block.attn, window)[: part.shape[0], : part.shape[1]]
        attended[0, row : row + 3, column : column + 3] += answer
    middle = block.local_conv(attended.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    expected = (middle + block.mlp(middle)).permute(0, 3, 1, 2)
    assert (block(x) - expected).abs().max() < 1e-5


def test_the_last_merge_keeps_the_resolution():
    assert TinyVitConfig().embedding_size == 64
    assert replace(TinyVitConfig(), strides=(2, 2, 2)).embedding_size == 32


def _random(net: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.data.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    for name, average in net.named_buffers():
        if name.endswith(("running_mean", "running_var")):  # a variance is positive
            average.copy_(0.5 + torch.rand(average.shape, generator=generator))
    return net.eval().requires_grad_(False)


def _by_hand(attention: nn.Module, x: Tensor) -> Tensor:
    """(window, window, C) -> the same: one head, one query, one key at a time."""
    side, channels = x.shape[0], x.shape[2]
    heads = attention.num_heads
    size = channels // heads
    places = list(product(range(side), range(side)))
    qkv = [attention.qkv(attention.norm(x[place])) for place in places]
    out = torch.zeros(side, side, channels)
    for head in range(heads):
        own = [one[3 * size * head : 3 * size * (head + 1)] for one in qkv]
        for i, (y, x0) in enumerate(places):
            scores = []
            for j, (row, column) in enumerate(places):
                bias = attention.attention_biases[head, abs(y - row) * side + abs(x0 - column)]
                scores.append(own[i][:size] @ own[j][size : 2 * size] / size**0.5 + bias)
            weights = torch.stack(scores).softmax(0)
            values = torch.stack([one[2 * size :] for one in own])
            out[y, x0, head * size : (head + 1) * size] = weights @ values
    return attention.proj(out)
