"""RepViT against timm's `repvit_m1`: outputs of the same seeded weights, written once by golden/make_repvit.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voxtrace.model.config import CONFIGS
from voxtrace.model.repvit import RepVit, RepVitConfig

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parent / "golden" / "repvit_m1.npz"
SMALL = RepVitConfig(widths=(8, 12, 16), depths=(1, 2, 3))
EVERY = 23  # of the maps' values, this many-th is in the golden file


def seeded_weights(net: nn.Module) -> None:
    """The same weights on every machine: numpy's RandomState is frozen. Norms, biases and statistics are drawn too."""
    random = np.random.RandomState(20)
    for name, value in net.state_dict().items():
        noise = torch.from_numpy(random.standard_normal(tuple(value.shape)).astype(np.float32))
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("running_var"):
            value.copy_(2 + noise.square())
        elif value.ndim == 1:
            value.copy_(0.2 * noise + float(name.endswith("bn.weight")))
        else:
            value.copy_(noise / value[0].numel() ** 0.5)


def picture(height: int, width: int) -> Tensor:
    """(1, 3, height, width) noise, the same on every machine."""
    random = np.random.RandomState(21)
    return torch.from_numpy(random.standard_normal((1, 3, height, width)).astype(np.float32))


@pytest.fixture(scope="module")
def full_net() -> RepVit:
    return RepVitConfig().build().eval().requires_grad_(False)


def test_names_shapes_and_counts_are_those_of_timm(full_net: RepVit) -> None:
    golden = np.load(GOLDEN)
    ours = [f"{name} {tuple(value.shape)}" for name, value in full_net.body.state_dict().items()]
    assert ours == golden["names"].tolist()
    assert len(ours) == 676
    assert sum(parameter.numel() for parameter in full_net.parameters()) == 4_713_712


def test_edgetam_uses_it_under_the_official_prefix() -> None:
    names = CONFIGS["edgetam"].trunk.build().state_dict()
    assert "body.stem.conv1.c.weight" in names
    assert "body.stages_2.blocks.13.channel_mixer.conv2.bn.running_var" in names


@pytest.mark.parametrize("training", [False, True])
def test_every_map_equals_timm(full_net: RepVit, training: bool) -> None:
    golden = np.load(GOLDEN)
    seeded_weights(full_net)
    full_net.train(training)
    for index, feature in enumerate(full_net(picture(96, 64))):
        wanted = golden[f"{'train' if training else 'eval'}_{index}"]
        # Of the largest value: the file was made on another machine, where float32 sums run in another order.
        assert np.abs(feature.flatten()[::EVERY].numpy() - wanted).max() <= 1e-4 * max(1, np.abs(wanted).max())
    full_net.eval()


def test_maps_have_strides_4_to_32_and_the_named_channels() -> None:
    net = RepVitConfig().build().eval()
    shapes = [tuple(feature.shape) for feature in net(picture(64, 96))]
    assert shapes == [(1, 48, 16, 24), (1, 96, 8, 12), (1, 192, 4, 6), (1, 384, 2, 3)]


def test_any_widths_and_depths_may_be_chosen() -> None:
    net = SMALL.build()
    assert [tuple(feature.shape[1:]) for feature in net(picture(32, 48))] == [(8, 8, 12), (12, 4, 6), (16, 2, 3)]
    assert SMALL.channels == (8, 12, 16)


def test_first_third_and_fifth_block_of_a_stage_squeeze() -> None:
    blocks = SMALL.build().body["stages_2"].blocks
    assert ["se.fc1.weight" in block.state_dict() for block in blocks] == [True, False, True]


def test_channel_mixers_of_a_fresh_net_pass_their_input_on() -> None:
    block = SMALL.build().body["stages_0"].blocks[0]
    assert torch.equal(block.channel_mixer(picture(8, 8)[:, :1].expand(2, 8, 8, 8)), torch.zeros(2, 8, 8, 8))


def test_every_parameter_learns() -> None:
    net = SMALL.build().train()
    seeded_weights(net)
    sum(feature.square().mean() for feature in net(torch.cat([picture(32, 32)] * 2))).backward()
    silent = [name for name, parameter in net.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert silent == []
