"""Steps of orthogonal momentum: their directions, their size, which layers take them, and that they are resumed."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

import tiny_training as tiny  # noqa: E402
from voxtrace.errors import TrainingError  # noqa: E402
from voxtrace.model.config import CONFIGS  # noqa: E402
from voxtrace.model.sam2 import Sam2  # noqa: E402
from voxtrace.train import running  # noqa: E402
from voxtrace.train.loop import train  # noqa: E402
from voxtrace.train.muon import Muon, Together, orthogonal  # noqa: E402
from voxtrace.train.optim import optimiser as optimiser_of, set_rate  # noqa: E402

pytestmark = pytest.mark.torch

BY_MUON = replace(tiny.RECIPE, muon=64, muon_rate=2.0)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_singular_vectors_stay_and_singular_values_come_near_to_one(shape):
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrix = left @ torch.diag(torch.logspace(-1, 1, min(shape))) @ right
    turned = left.T @ orthogonal(matrix) @ right.T
    values = turned.diagonal()
    assert (turned - torch.diag(values)).abs().max() < 1e-4
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_a_step_is_as_large_as_adamws_whatever_the_gradients_size(scale):
    torch.manual_seed(1)
    weight = torch.nn.Parameter(torch.zeros(32, 8, 2, 2))
    weight.grad = scale * torch.randn(32, 8, 2, 2)
    Muon([{"params": [weight]}], lr=0.01).step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.2)


def test_weights_without_a_gradient_stay_and_decay_is_apart_from_the_step():
    still, decayed = (torch.nn.Parameter(torch.ones(8, 8)) for _ in range(2))
    decayed.grad = torch.zeros(8, 8)
    Muon([{"params": [still, decayed], "weight_decay": 0.5}], lr=0.1).step()
    assert torch.equal(still, torch.ones(8, 8))
    assert torch.allclose(decayed, torch.full((8, 8), 0.95))


def test_narrow_layers_are_muons_and_every_weight_is_stepped_once():
    with torch.device("meta"):
        net = Sam2(CONFIGS["edgetam"])  # it has depthwise convolutions
    both = optimiser_of(net, replace(BY_MUON, muon=160))
    assert isinstance(both, Together)
    set_rate(both, 1e-3)
    found = [(id(weight), group["lr"]) for group in both.param_groups for weight in group["params"]]
    assert sorted(key for key, _ in found) == sorted(id(weight) for weight in net.parameters())
    muons = {id(weight) for group in both.parts[1].param_groups for weight in group["params"]}
    assert {rate for key, rate in found if key in muons} == {2e-3}
    assert {rate for key, rate in found if key not in muons} == {1e-3}
    layers = dict(net.named_modules())
    deep = [name for name, one in layers.items() if getattr(one, "groups", 1) > 1]
    assert deep
    assert not any(id(layers[name].weight) in muons for name in deep)
    assert all(4 < min(len(w), w[0].numel()) <= 160 for w in net.parameters() if id(w) in muons)
    assert id(net.no_obj_ptr) not in muons


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "save_every_s", lambda minutes, most: 0.0)
    recipe = replace(BY_MUON, steps=4, minutes=1e9)

    def stop(step):
        if step.step == 3:
            raise InterruptedError

    whole = train(recipe, [tiny.ball()], tmp_path / "whole", net=tiny.net())
    with pytest.raises(InterruptedError):
        train(recipe, [tiny.ball()], tmp_path / "stopped", net=tiny.net(), tell=stop)
    train(recipe, [tiny.ball()], tmp_path / "stopped", net=tiny.net())
    first, second = (torch.load(path, weights_only=True) for path in (whole, tmp_path / "stopped" / "state.pt"))
    assert second["step"] == 4
    assert [n for n in first["model"] if not torch.equal(first["model"][n], second["model"][n])] == []


def test_a_state_of_adamw_is_refused_by_a_recipe_of_muon(tmp_path):
    train(replace(tiny.RECIPE, steps=1), [tiny.ball()], tmp_path, net=tiny.net())
    with pytest.raises(TrainingError, match=r"muon"):
        train(replace(BY_MUON, steps=2), [tiny.ball()], tmp_path, net=tiny.net())
