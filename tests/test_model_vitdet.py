"""EfficientTAM's trunk and neck. No installable package holds it; the net is compared with its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.config import CONFIGS
from voxtrace.model.sam2 import Sam2
from voxtrace.model.vitdet import VitDet, VitDetConfig, VitDetNeck, stretched_positions

pytestmark = pytest.mark.torch

SMALL = VitDetConfig(embed_dim=24, num_heads=3, depth=4, global_blocks=(1, 3), window=5, patch=4)


def randomised(net: nn.Module, seed: int = 1) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for value in net.state_dict().values():
        noise = torch.randn(value.shape, generator=generator)
        value.copy_(1 + 0.2 * noise if value.ndim == 1 else noise / value[0].numel() ** 0.5)
    return net.eval().requires_grad_(False)


def noise(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def norm(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: np.ndarray, weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def attention(tokens: np.ndarray, weights: dict[str, np.ndarray], name: str, num_heads: int) -> np.ndarray:
    """(N, C) tokens that all see one another."""
    q, k, v = np.split(linear(tokens, weights, f"{name}.qkv"), 3, axis=1)
    heads = []
    for one in np.split(np.arange(tokens.shape[1]), num_heads):
        match = q[:, one] @ k[:, one].T / len(one) ** 0.5
        match = np.exp(match - match.max(1, keepdims=True))
        heads.append(match / match.sum(1, keepdims=True) @ v[:, one])
    return linear(np.concatenate(heads, axis=1), weights, f"{name}.proj")


def attention_in_windows(x: np.ndarray, window: int, attend) -> np.ndarray:
    """(H, W, C), one window after the other; zeros stand where a window reaches over the edge."""
    height, width, channels = x.shape
    out = np.zeros_like(x)
    for top in range(0, height, window):
        for left in range(0, width, window):
            tile = np.zeros((window, window, channels))
            part = x[top : top + window, left : left + window]
            tile[: part.shape[0], : part.shape[1]] = part
            seen = attend(tile.reshape(-1, channels)).reshape(tile.shape)
            out[top : top + window, left : left + window] = seen[: part.shape[0], : part.shape[1]]
    return out


def gelu(x: np.ndarray) -> np.ndarray:
    return x * torch.special.ndtr(torch.from_numpy(x)).numpy()


def trunk_by_definition(net: VitDet, config: VitDetConfig, image: Tensor) -> np.ndarray:
    """(3, H, W) -> (C, H / patch, W / patch), in float64."""
    weights = {name: value.double().numpy() for name, value in net.state_dict().items()}
    size = config.patch
    rows, columns = image.shape[1] // size, image.shape[2] // size
    patches = image.double().numpy().reshape(3, rows, size, columns, size).transpose(1, 3, 0, 2, 4)
    kernel = weights["patch_embed.proj.weight"].reshape(config.embed_dim, -1)
    x = patches.reshape(rows, columns, -1) @ kernel.T + weights["patch_embed.proj.bias"]
    x = x + stretched_positions(net.pos_embed.double(), rows, columns)[0].numpy()
    for index in range(config.depth):
        name = f"blocks.{index}"

        def attend(tokens: np.ndarray, name: str = name) -> np.ndarray:
            return attention(tokens, weights, f"{name}.attn", config.num_heads)

        normed = norm(x, weights, f"{name}.norm1")
        if index in config.global_blocks:
            x = x + attend(normed.reshape(rows * columns, -1)).reshape(x.shape)
        else:
            x = x + attention_in_windows(normed, config.window, attend)
        hidden = gelu(linear(norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp.layers.0"))
        x = x + linear(hidden, weights, f"{name}.mlp.layers.1")
    return x.transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("efficienttam_s", 34_055_842),
        ("efficienttam_s_512x512", 34_055_842),
        ("efficienttam_ti", 17_866_018),
        ("efficienttam_ti_512x512", 17_866_018),
    ],
)
def test_official_key_and_parameter_counts(name: str, parameters: int) -> None:
    with torch.device("meta"):
        net = Sam2(CONFIGS[name])
    assert len(net.state_dict()) == 455
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters


def test_official_names_and_shapes() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Sam2(CONFIGS["efficienttam_s"]).state_dict().items()}
    trunk = {name for name in shapes if name.startswith("image_encoder.trunk.")}
    block = [
        *("norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias"),
        *("norm2.weight", "norm2.bias", "mlp.layers.0.weight", "mlp.layers.0.bias"),
        *("mlp.layers.1.weight", "mlp.layers.1.bias"),
    ]
    assert trunk == {
        "image_encoder.trunk.pos_embed",
        "image_encoder.trunk.patch_embed.proj.weight",
        "image_encoder.trunk.patch_embed.proj.bias",
        *(f"image_encoder.trunk.blocks.{index}.{part}" for index in range(12) for part in block),
    }
    assert shapes["image_encoder.trunk.pos_embed"] == (1, 197, 384)
    assert {name: shape for name, shape in shapes.items() if ".neck." in name} == {
        "image_encoder.neck.convs.0.conv_1x1.weight": (256, 384, 1, 1),
        "image_encoder.neck.convs.0.norm_0.weight": (256,),
        "image_encoder.neck.convs.0.norm_0.bias": (256,),
        "image_encoder.neck.convs.0.conv_3x3.weight": (256, 256, 3, 3),
        "image_encoder.neck.convs.0.norm_1.weight": (256,),
        "image_encoder.neck.convs.0.norm_1.bias": (256,),
    }
    assert not [name for name in shapes if "conv_s0" in name or "tpos_proj" in name or "no_obj_embed_spatial" in name]


def test_trunk_equals_its_definition() -> None:
    """7 x 12 tokens in windows of 5: both edges cut windows."""
    net = randomised(SMALL.build())
    image = noise(3, 28, 48)
    wanted = trunk_by_definition(net, SMALL, image)
    (found,) = net(image[None])
    assert found.shape == (1, 24, 7, 12)
    assert np.abs(found[0].numpy() - wanted).max() <= 1e-4


def test_images_of_a_batch_do_not_see_one_another() -> None:
    net = randomised(SMALL.build())
    images = noise(3, 3, 28, 48)
    (together,) = net(images)
    (alone,) = net(images[1:2])
    assert (together[1:2] - alone).abs().max() <= 1e-5


def test_windows_keep_what_is_in_them_until_a_global_block() -> None:
    """One changed pixel reaches its own 5 x 5 tokens, and all of them once a block is global."""
    image = noise(1, 3, 28, 48)
    changed = image.clone()
    changed[..., 0, 0] += 5
    reached = []
    for blocks in ((), (1,)):
        net = randomised(VitDetConfig(24, 3, depth=2, global_blocks=blocks, window=5, patch=4).build())
        difference = (net(image)[0] - net(changed)[0]).abs().amax(1)[0]
        reached.append(difference > 0)
    assert reached[0][:5, :5].all()
    assert not reached[0][5:].any()
    assert not reached[0][:, 5:].any()
    assert reached[1].all()


def test_released_nets_are_global_in_every_third_block() -> None:
    blocks = VitDetConfig(192, 3).build().blocks
    assert [index for index, block in enumerate(blocks) if block.window == 0] == [2, 5, 8, 11]
    assert {block.window for block in blocks} == {0, 14}


def test_positions_of_14_x_14_patches_are_the_learnt_ones() -> None:
    table = noise(1, 197, 6)
    assert torch.equal(stretched_positions(table, 14, 14), table[:, 1:].reshape(1, 14, 14, 6))


def test_positions_are_stretched_without_the_class_token() -> None:
    table = torch.zeros(1, 197, 2)
    table[:, 0] = 1000  # the class token's
    table[0, 1:, 0] = torch.arange(14).repeat_interleave(14).float()  # grows with the row
    table[0, 1:, 1] = torch.arange(14).repeat(14).float()  # grows with the column
    stretched = stretched_positions(table, 42, 70)
    assert stretched.shape == (1, 42, 70, 2)
    # The middle of every three rows and five columns is where a learnt position was: there nothing changes.
    assert torch.allclose(stretched[0, 3 * 8 + 1, 5 * 11 + 2], torch.tensor([8.0, 11.0]))


def test_neck_equals_its_definition() -> None:
    neck = randomised(VitDetNeck(10, (6,)))
    feature = noise(2, 6, 5, 7)
    weights = neck.state_dict()

    def channel_norm(x: Tensor, name: str) -> Tensor:
        weight, bias = weights[f"convs.0.{name}.weight"], weights[f"convs.0.{name}.bias"]
        return F.layer_norm(x.permute(0, 2, 3, 1), (10,), weight, bias, eps=1e-6).permute(0, 3, 1, 2)

    narrow = channel_norm(F.conv2d(feature, weights["convs.0.conv_1x1.weight"]), "norm_0")
    wanted = channel_norm(F.conv2d(narrow, weights["convs.0.conv_3x3.weight"], padding=1), "norm_1")
    (found,) = neck([feature])
    assert (found - wanted).abs().max() <= 1e-5


def test_embedding_at_1024_is_64_x_64_without_finer_maps() -> None:
    net = Sam2(CONFIGS["efficienttam_ti"]).eval().requires_grad_(False)
    encoded = net.encode(noise(1, 3, 1024, 1024))
    assert encoded.embedding.shape == (1, 256, 64, 64)
    assert encoded.high_res == ()


def test_the_four_verbs_at_512() -> None:
    net = Sam2(CONFIGS["efficienttam_ti_512x512"]).eval().requires_grad_(False)
    encoded = net.encode(noise(1, 3, 512, 512))
    points = torch.tensor([[[100.0, 80.0], [300.0, 260.0]], [[40.0, 30.0], [90.0, 200.0]]])
    begun = net.begin(encoded, points, torch.tensor([[2, 3], [2, 3]], dtype=torch.int32))
    assert begun.logits.shape == (2, 1, 128, 128)
    memory = net.remember(encoded, begun.logits, begun.object_score, certain=True)
    assert memory.shape == (2, 64, 32, 32)
    followed = net.follow(encoded, net.recall([(memory, 0)], [(begun.pointer, 1)]))
    assert followed.logits.shape == (2, 1, 128, 128)
    assert torch.isfinite(followed.logits).all()
