"""Who learns how fast, and that recomputing a trunk changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

import tiny_training as tiny  # noqa: E402
from voxtrace.errors import TrainingError  # noqa: E402
from voxtrace.model.config import CONFIGS  # noqa: E402
from voxtrace.model.sam2 import Sam2  # noqa: E402
from voxtrace.train.beginning import checkpointed  # noqa: E402
from voxtrace.train.failing import explained  # noqa: E402
from voxtrace.train.optim import optimiser as optimiser_of, set_rate, share_of  # noqa: E402

pytestmark = pytest.mark.torch

# The published recipe of MedSAM2: 5e-5, trunk and neck 3e-5, layer decay 0.9, on a trunk of 12 blocks.
PUBLISHED = replace(tiny.RECIPE, rate=5e-5, encoder_rate=3e-5, layer_decay=0.9, weight_decay=0.1)


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("sam_mask_decoder.iou_token.weight", 5e-5),
        ("memory_attention.norm.weight", 5e-5),
        ("image_encoder.neck.convs.0.conv.weight", 3e-5),
        ("image_encoder.trunk.pos_embed", 3e-5),
        ("image_encoder.trunk.blocks.11.attn.qkv.weight", 3e-5 * 0.9),
        ("image_encoder.trunk.blocks.0.attn.qkv.weight", 3e-5 * 0.9**12),
        ("image_encoder.trunk.patch_embed.proj.weight", 3e-5 * 0.9**13),
    ],
)
def test_layer_decay_is_sam_2s(name, rate):
    assert 5e-5 * share_of(name, 12, PUBLISHED) == pytest.approx(rate)


def test_every_weight_is_in_one_group_with_its_rate_and_only_matrices_decay():
    net = tiny.net()
    optimiser = optimiser_of(net, PUBLISHED)
    set_rate(optimiser, 1e-3)
    found = {id(weight): group for group in optimiser.param_groups for weight in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in optimiser.param_groups) == len(list(net.parameters()))
    named = {name: found[id(weight)] for name, weight in net.named_parameters()}
    assert named["image_encoder.trunk.blocks.1.attn.qkv.weight"]["lr"] == pytest.approx(1e-3 * 0.6 * 0.9**3)
    assert named["image_encoder.trunk.blocks.1.attn.qkv.weight"]["weight_decay"] == pytest.approx(0.1)
    assert named["image_encoder.trunk.blocks.1.attn.qkv.bias"]["weight_decay"] == 0
    assert named["image_encoder.trunk.blocks.1.norm1.weight"]["weight_decay"] == 0


FAMILIES = ["voxtrace-small", "sam2.1_hiera_tiny", "sam2_hiera_tiny", "efficienttam_ti", "edgetam"]


@pytest.mark.parametrize("family", FAMILIES)
def test_of_each_family_all_is_taught_once_layers_decay_and_trunks_learn_slower_towards_the_image(family):
    with torch.device("meta"):
        net = Sam2(CONFIGS[family])
    groups = optimiser_of(net, PUBLISHED).param_groups
    found = [(id(weight), group) for group in groups for weight in group["params"]]
    assert sorted(key for key, _ in found) == sorted(id(weight) for weight in net.parameters())
    own = {name: dict(found)[id(weight)] for name, weight in net.named_parameters()}
    layers = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    of_layers = {f"{name}.weight" for name, layer in net.named_modules() if isinstance(layer, layers)}
    assert all(own[name]["weight_decay"] == pytest.approx(0.1) for name in of_layers)
    assert {name for name in own if name.endswith("bias") and own[name]["weight_decay"]} == set()
    shares = [group["share"] for name, group in own.items() if name.startswith("image_encoder.trunk.")]
    assert min(shares) <= 0.6 * 0.9**5 + 1e-9
    assert len(set(shares)) >= 5


class Counter:
    """Writes the size of each tensor that is kept for the way back into a list, with the number of the run."""

    def __init__(self, kept):
        self.kept, self.run = kept, len({run for run, _ in kept})

    def __call__(self, tensor):
        self.kept.append((self.run, tensor.numel()))
        return tensor


@pytest.mark.parametrize("config", [tiny.CONFIG, CONFIGS["voxtrace-small"].at(64)], ids=["hiera", "resnet"])
def test_a_trunk_that_is_computed_twice_has_the_same_gradients(config):
    torch.manual_seed(1)
    net, images = Sam2(config).train(), torch.randn(2, 3, 64, 64)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    gradients, statistics, kept = [], [], []
    for twice in (False, True):
        net.load_state_dict(start)
        with checkpointed(net, twice), torch.autograd.graph.saved_tensors_hooks(Counter(kept), lambda tensor: tensor):
            sum(one.square().mean() for one in net.image_encoder(images)).backward()
        gradients.append([w.grad.clone() for w in net.image_encoder.trunk.parameters() if w.grad is not None])
        net.zero_grad()
        statistics.append([buffer.clone() for buffer in net.image_encoder.buffers()])
    once, twice = (sum(size for run, size in kept if run == number) for number in (0, 1))
    assert twice < once / 2
    assert len(gradients[0]) > 10
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(*statistics, strict=True)), "a batch is counted once"
    assert all(m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert not any("forward" in vars(module) for module in net.modules())


def test_too_little_memory_ends_with_what_to_change():
    recipe = replace(tiny.RECIPE, frames=16, lengths={8: 1.0}, parts=1)
    named = r"16 frames of 512 x 512 .* checkpointing = true, parts = 2, frames = 8"
    with pytest.raises(TrainingError, match=named), explained(recipe, 512):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_other_faults_keep_their_own_words():
    with pytest.raises(RuntimeError, match="size of tensor"), explained(tiny.RECIPE, 64):
        torch.zeros(2) + torch.zeros(3)
