"""Adapters: nothing at first, plain weights in the end."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from seeded import randn  # noqa: E402
from voxtrace.errors import ModelError  # noqa: E402
from voxtrace.model.config import CONFIGS, ResNetConfig  # noqa: E402
from voxtrace.model.sam2 import Sam2  # noqa: E402
from voxtrace.train.adapting import prepare  # noqa: E402
from voxtrace.train.lora import LowRank, adapt, merge  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture
def net() -> Sam2:
    """voxtrace-small with a thin trunk and random weights."""
    torch.manual_seed(0)
    config = replace(CONFIGS["voxtrace-small"].at(64), trunk=ResNetConfig(depths=(1, 1, 1, 1)), mirrored=False)
    return Sam2(config).eval()


@torch.no_grad()
def answers(net: Sam2) -> torch.Tensor:
    """A prompted frame and one that is followed, by all parts of the net."""
    encoded = net.encode(randn(2, 3, 64, 64))
    corners = torch.tensor([[[12.0, 15.0], [40.0, 50.0]]])
    heads = net.begin(encoded.frame(0), corners, torch.tensor([[2, 3]]))
    memory = net.remember(encoded.frame(0), heads.logits, heads.object_score + 10, certain=True)
    followed = net.follow(encoded.frame(1), net.recall([(memory, 0)], [(heads.pointer, 1)]))
    return torch.cat([h.candidates.logits.flatten() for h in (heads, followed)])


def stir(net: Sam2) -> None:
    """Make every taught value another one, as training would."""
    with torch.no_grad():
        for number, parameter in enumerate(p for p in net.parameters() if p.requires_grad):
            parameter += 0.05 * randn(*parameter.shape, seed=number)


def test_adapters_change_nothing_at_first(net):
    before = answers(net)
    assert adapt(net, LowRank(4))
    assert torch.equal(answers(net), before)


def test_the_merged_net_answers_as_the_adapted_one_and_has_the_nets_own_names(net):
    names, before = list(net.state_dict()), answers(net)
    adapt(net, LowRank(4))
    stir(net)
    adapted = answers(net)
    merge(net)
    assert (adapted - before).abs().max() > 0.1
    assert torch.allclose(answers(net), adapted, atol=1e-5)
    assert sorted(net.state_dict()) == sorted(names)
    Sam2(net.config).load_state_dict(net.state_dict(), strict=True)


def test_a_layers_change_has_the_rank_that_was_asked_for(net):
    weight = net.refiner.fine[2][0].conv1.weight.detach().clone()
    adapt(net, LowRank(4))
    stir(net)
    merge(net)
    change = net.refiner.fine[2][0].conv1.weight.detach() - weight
    assert int(torch.linalg.matrix_rank(change.flatten(1), rtol=1e-4)) == 4


def test_alpha_scales_the_change_and_rank_does_not(net):
    """B A of ones is `rank`, scaled by alpha / rank."""
    layer = net.memory_attention.layers[0].linear1
    weight = layer.weight.detach().clone()
    adapt(net, LowRank(4, alpha=6.0))
    with torch.no_grad():
        change = layer.parametrizations.weight[0]
        change.a.fill_(1)
        change.b.fill_(1)
    assert torch.allclose(layer.weight - weight, torch.full_like(weight, 6.0), atol=1e-5)


def test_linear_and_small_convolution_layers_get_adapters_others_do_not(net):
    names = set(adapt(net, LowRank(4)))
    assert {"image_encoder.trunk.stages.0.0.conv1", "refiner.up.0", "memory_attention.layers.0.linear1"} <= names
    assert "memory_encoder.fuser.layers.0.dwconv" not in names
    taught = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert "refiner.presence.2.weight" in taught  # 64 values: an adapter would have 260
    assert not any(name.endswith("weight.original") for name in taught)


def test_every_adapter_is_reached_by_the_loss(net):
    adapt(net, LowRank(4))
    stir(net)
    encoded = net.encode(randn(1, 3, 64, 64))
    heads = net.begin(encoded, torch.tensor([[[12.0, 15.0], [40.0, 50.0]]]), torch.tensor([[2, 3]]))
    heads.candidates.logits.square().mean().backward()
    trunk = [p for name, p in net.named_parameters() if "trunk" in name and name.endswith((".a", ".b"))]
    assert trunk
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trunk)


def test_adapters_are_not_put_on_adapters(net):
    adapt(net, LowRank(4))
    with pytest.raises(ModelError, match="adapters already"):
        adapt(net, LowRank(4))


def test_a_rank_of_nothing_is_refused():
    with pytest.raises(ModelError, match="rank 0 hold nothing"):
        LowRank(0)


def test_decoder_only_teaches_what_draws_masks(net):
    count = prepare(net, "decoder")
    parts = {name.split(".")[0] for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert parts == {"sam_mask_decoder", "refiner", "hint_scale", "decoder_scale"}
    assert 0 < count < prepare(net, "full") == sum(p.numel() for p in net.parameters())


def test_batch_norms_keep_their_statistics_in_training(net):
    prepare(net, "full")
    norm = net.image_encoder.trunk.stem[1]
    kept = norm.running_mean.clone()
    net.train()
    net.encode(randn(2, 3, 64, 64) + 3)
    assert torch.equal(norm.running_mean, kept)
    assert net.training
