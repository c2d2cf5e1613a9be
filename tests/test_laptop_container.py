"""The laptop container's predict.sh, run as the container would: an empty folder, 8 GB, nothing of the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.real

LAPTOP = Path(__file__).resolve().parents[1] / "deploy" / "laptop"
MEMORY_KB = 8 * 2**20


@pytest.fixture
def workspace(tmp_path):
    """A folder with predict.sh and inputs alone."""
    shutil.copy(LAPTOP / "predict.sh", tmp_path)
    (tmp_path / "inputs").mkdir()
    return tmp_path


def ball(shape: tuple[int, ...]) -> np.ndarray:
    """bool: a ball of 12 voxels' radius in the middle."""
    places = np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")
    return sum(place.astype(float) ** 2 for place in places) < 12**2


def write_case(folder: Path, name: str, inside: np.ndarray) -> None:
    """A bright ball in noise and its box; the last voxel of a box is inside."""
    grey = np.random.default_rng(0).normal(70, 10, inside.shape) + 110 * inside
    places = np.nonzero(inside)[::-1]
    box = [*(int(p.min()) for p in places), *(int(p.max()) for p in places)]
    image = grey.clip(0, 255).astype(np.uint8)
    more = {"spacing": np.ones(3)} if inside.ndim == 3 else {}
    np.savez(
        folder / name, imgs=image if inside.ndim == 3 else np.stack([image] * 3, -1), boxes=np.array([box]), **more
    )


def predict(workspace: Path) -> subprocess.CompletedProcess[str]:
    """sh predict.sh with a bound on the memory that the shell sets, far from the repository."""
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "HOME": str(workspace)}
    command = ["bash", "-c", f"ulimit -v {MEMORY_KB} && sh predict.sh"]
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, timeout=120)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_each_case_gets_an_answer_of_its_name_within_8_gb(workspace):
    cases = {"2DBox_US_0001.npz": ball((80, 90)), "3DBox_CT_0002.npz": ball((30, 64, 72))}
    for name, inside in cases.items():
        write_case(workspace / "inputs", name, inside)
    done = predict(workspace)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (workspace / "outputs").iterdir()) == sorted(cases)
    for name, inside in cases.items():
        found = np.load(workspace / "outputs" / name)["segs"]
        assert found.shape == inside.shape
        assert set(np.unique(found)) == {0, 1}
        assert overlap(found == 1, inside) > 0.85


def test_a_broken_case_is_named_and_the_others_are_answered(workspace):
    write_case(workspace / "inputs", "2DBox_US_0001.npz", ball((80, 90)))
    (workspace / "inputs" / "2DBox_US_0000.npz").write_bytes(b"PK\x03\x04 nothing")
    done = predict(workspace)
    assert done.returncode == 3
    assert "2DBox_US_0000.npz" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (workspace / "outputs").iterdir()] == ["2DBox_US_0001.npz"]


def test_without_a_case_it_says_where_one_belongs(workspace):
    done = predict(workspace)
    assert done.returncode == 2
    assert f"no npz file in {workspace / 'inputs'}" in done.stderr
