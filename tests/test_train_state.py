"""A training's state: a killed run goes on to the bit, and another training's state is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tiny_training as tiny  # noqa: E402
from voxtrace.errors import OutputError, TrainingError  # noqa: E402
from voxtrace.train import running  # noqa: E402
from voxtrace.train.journal import read_log  # noqa: E402
from voxtrace.train.loop import train  # noqa: E402
from voxtrace.train.optim import Average, optimiser as optimiser_of  # noqa: E402
from voxtrace.train.state import State  # noqa: E402
from voxtrace.train.stopping import save_every_s  # noqa: E402

pytestmark = pytest.mark.torch

SCRIPT = Path(tiny.__file__)
STEPS = 14


def begin(out: Path, steps: int = STEPS, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(out), str(steps)], env=os.environ | {"OMP_NUM_THREADS": "1"}, **options
    )


def tensors(content, name=""):
    """Every tensor of a state, with its place."""
    if isinstance(content, torch.Tensor):
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from tensors(value, f"{name}/{key}")


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_writes_its_last_step_and_says_how_to_go_on(tmp_path, number):
    run = begin(tmp_path, 2000, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while len(read_log(tmp_path / "log.csv")) < 4:
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(number)
    told = run.communicate(timeout=60)[1].decode()
    steps = int(read_log(tmp_path / "log.csv")[-1]["step"])
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == steps < 2000
    assert f"stopped at step {steps}; the state is written, and the same command goes on from there" in told
    assert json.loads((tmp_path / "run.json").read_text())["finished"] is False


def test_a_short_training_is_saved_more_often():
    assert save_every_s(2.0, 120.0) == 12.0
    assert save_every_s(0.1, 120.0) == 10.0
    assert save_every_s(90.0, 120.0) == 120.0


@pytest.mark.real
def test_a_run_killed_in_the_middle_ends_as_one_that_was_not(tmp_path):
    whole = begin(tmp_path / "whole")
    killed = begin(tmp_path / "killed")
    state, deadline = tmp_path / "killed" / "state.pt", time.monotonic() + 120
    while not (state.exists() and len(read_log(tmp_path / "killed" / "log.csv")) >= 5):
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    stopped_at = torch.load(state, weights_only=True)["step"]
    assert 0 < stopped_at < STEPS
    assert begin(tmp_path / "killed").wait() == whole.wait() == 0
    first, second = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("whole", "killed"))
    expected, found = dict(tensors(first)), dict(tensors(second))
    assert expected.keys() == found.keys()
    assert len(expected) > 500
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert second["step"] == STEPS
    losses = [[row["loss"] for row in read_log(tmp_path / name / "log.csv")] for name in ("whole", "killed")]
    assert losses[0] == losses[1]
    assert len(losses[0]) == STEPS


def test_a_state_of_another_recipe_is_refused_and_what_differs_is_named(tmp_path):
    train(replace(tiny.RECIPE, steps=1), [tiny.ball()], tmp_path, net=tiny.net())
    changed = replace(tiny.RECIPE, rate=3e-4, losses=replace(tiny.RECIPE.losses, focal=5.0))
    with pytest.raises(TrainingError, match=r"rate was 0\.001 and is 0\.0003; losses\.focal was 20\.0 and is 5\.0"):
        train(changed, [tiny.ball()], tmp_path, net=tiny.net())


def test_a_state_of_a_net_of_which_other_weights_were_taught_is_refused(tmp_path):
    train(replace(tiny.RECIPE, steps=1), [tiny.ball()], tmp_path, net=tiny.net())
    net = tiny.net()
    net.image_encoder.requires_grad_(False)
    with pytest.raises(TrainingError, match=r"what is taught was \d+ of \d+ tensors .* and is "):
        train(tiny.RECIPE, [tiny.ball()], tmp_path, net=net)


def test_other_cases_are_warned_of_and_the_run_goes_on(tmp_path, caplog):
    train(replace(tiny.RECIPE, steps=1), [tiny.ball()], tmp_path, net=tiny.net())
    assert not caplog.text
    train(replace(tiny.RECIPE, steps=2), [tiny.ball(), tiny.ball()], tmp_path, net=tiny.net())
    assert "1 cases (" in caplog.text
    assert "now 2 cases (" in caplog.text
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(TrainingError, match=r"state\.pt cannot be read .*delete state\.pt to begin anew"):
        train(tiny.RECIPE, [tiny.ball()], tmp_path, net=tiny.net())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_named_and_the_last_state_stays(tmp_path):
    net = tiny.net()
    state = State(net, optimiser_of(net, tiny.RECIPE), Average(net, 0.9))
    state.save(tmp_path / "state.pt")
    before = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left on device; free some room"):
        state.save(tmp_path / "state.pt")
    assert (tmp_path / "state.pt").read_bytes() == before


def test_made_up_cases_workers_and_a_trunk_computed_twice_change_nothing_in_a_stopped_run(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "save_every_s", lambda minutes, most: 0.0)
    prompts = replace(
        tiny.RECIPE.prompts, box=0.2, mask=0.3, scribble=0.2, recist=0.2, correction_followed=0.5, second=0.5
    )
    drawn = replace(tiny.RECIPE.samples, synthetic=0.5, volumes=0.5)
    recipe = replace(tiny.RECIPE, steps=5, minutes=1e9, samples=drawn, lengths={1: 0.5, 2: 0.5}, prompts=prompts)

    def stop(step):
        if step.step == 4:
            raise InterruptedError

    whole = train(recipe, [tiny.ball()], tmp_path / "whole", net=tiny.net())
    other = replace(recipe, workers=1, checkpointing=True)
    with pytest.raises(InterruptedError):
        train(other, [tiny.ball()], tmp_path / "stopped", net=tiny.net(), tell=stop)
    assert torch.load(tmp_path / "stopped" / "state.pt", weights_only=True)["step"] == 3
    train(other, [tiny.ball()], tmp_path / "stopped", net=tiny.net())
    first, second = (torch.load(path, weights_only=True) for path in (whole, tmp_path / "stopped" / "state.pt"))
    assert second["step"] == 5
    assert [n for n in first["model"] if not torch.equal(first["model"][n], second["model"][n])] == []
    assert [n for n in first["average"] if not torch.equal(first["average"][n], second["average"][n])] == []


def test_a_state_of_another_versions_optimiser_says_how_to_go_on_from_its_weights(tmp_path):
    train(replace(tiny.RECIPE, steps=1), [tiny.ball()], tmp_path, net=tiny.net())
    found = torch.load(tmp_path / "state.pt", weights_only=True)
    first, *others = found["optimizer"]["param_groups"]
    others[0]["params"].append(first["params"].pop())  # what decays was decided otherwise
    torch.save(found, tmp_path / "state.pt")
    with pytest.raises(TrainingError, match=r"groups the weights otherwise .*: --start .*state\.pt"):
        train(replace(tiny.RECIPE, steps=2), [tiny.ball()], tmp_path, net=tiny.net())
