"""Two processes by torchrun take the steps that one takes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import tiny_training as tiny  # noqa: E402
from voxtrace.train.feeding import parts_of  # noqa: E402
from voxtrace.train.journal import read_log  # noqa: E402

pytestmark = pytest.mark.torch

STEPS = 4


def run(out: Path, *launcher: str) -> None:
    command = [sys.executable, *launcher, str(Path(tiny.__file__)), str(out), str(STEPS)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.real
def test_two_processes_lose_and_learn_what_one_does(tmp_path):
    run(tmp_path / "one")
    run(tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    one, two = ([float(row["loss"]) for row in read_log(tmp_path / name / "log.csv")] for name in ("one", "two"))
    assert len(one) == STEPS
    assert two == pytest.approx(one, rel=1e-5)
    first, second = (torch.load(tmp_path / name / "state.pt", weights_only=True)["model"] for name in ("one", "two"))
    start = tiny.net().state_dict()
    assert max(float((second[name] - start[name]).abs().max()) for name in start) > 1e-3
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=1e-5, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.real
def test_processes_that_find_different_states_say_so_instead_of_waiting(tmp_path):
    script = tmp_path / "apart.py"
    script.write_text(
        "from pathlib import Path\n"
        "from voxtrace.errors import TrainingError\n"
        "from voxtrace.train.distributed import joined\n"
        "with joined() as world:\n"
        "    world.check_same(7, Path('state.pt'))\n"
        "    try:\n"
        "        world.check_same(7 * world.rank, Path('state.pt'))\n"
        "    except TrainingError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("from different steps (0, 7): state.pt is not the same file for all") == 2


@pytest.mark.parametrize(
    ("parts", "processes", "expected"), [(1, 1, 1), (1, 2, 2), (2, 2, 2), (3, 2, 4), (4, 2, 4), (2, 4, 4)]
)
def test_a_step_has_as_many_parts_for_each_process(parts, processes, expected):
    assert parts_of(replace(tiny.RECIPE, parts=parts), processes) == expected
