"""Evaluation with real nets: one of random weights on made cases, the embedded one on two cases of the data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelled import write_cases
from voxtrace.bench.lock import read_lock
from voxtrace.bench.plan import Plan
from voxtrace.cli import main
from voxtrace.errors import CheckpointError, ModelError
from voxtrace.eval.results import read_results

pytestmark = pytest.mark.torch
WAYS = ("box", "clicks5", "mask", "oneprompt")


def write_net(path: Path, seed: int = 0) -> Path:
    """A small net of random weights."""
    import torch

    from voxtrace.checkpoints import save
    from voxtrace.model.config import CONFIGS, ResNetConfig
    from voxtrace.model.sam2 import Sam2

    torch.manual_seed(seed)
    config = replace(CONFIGS["voxtrace-small"].at(64), trunk=ResNetConfig(depths=(1, 1, 1, 1)))
    save(path, Sam2(config), config, {})
    return path


@pytest.fixture(scope="module")
def net(tmp_path_factory) -> Path:
    return write_net(tmp_path_factory.mktemp("net") / "tiny.safetensors")


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_a_weights_file_is_measured_with_several_prompts_and_comes_out_again(net, tmp_path):
    words = (
        "--data",
        write_cases(tmp_path / "data"),
        "--model",
        net,
        "--prompt",
        *WAYS,
        "--z-range",
        "both",
        "--quiet",
    )
    assert run("evaluate", *words, "--out", tmp_path / "out") == 0
    rows = read_results(tmp_path / "out")
    assert {row.prompt.split(":")[0] for row in rows} == set(WAYS)
    assert {row.model for row in rows} == {"tiny"}
    assert all(np.isfinite(row.dsc) and row.seconds > 0 for row in rows)
    assert run("bench", "verify", tmp_path / "out") == 0


def test_a_weights_file_is_corrected_with_clicks(net, tmp_path):
    manifest = write_cases(tmp_path / "data")
    assert run("bench", "interactive", "--data", manifest, "--model", net, "--out", tmp_path / "out", "--z-range") == 0
    header, *lines = (tmp_path / "out" / "tiny_metrics.csv").read_text().splitlines()
    assert header.startswith("CaseName,TotalRunningTime,RunningTime_1")
    assert len(lines) == 3
    assert (tmp_path / "out" / "clicks.csv").read_text().count("\n") > 5


def test_other_weights_under_the_same_name_are_refused(net, tmp_path):
    own = tmp_path / "tiny.safetensors"
    own.write_bytes(net.read_bytes())
    words = ("evaluate", "--data", write_cases(tmp_path / "data"), "--model", own, "--kind", "image")
    assert run(*words, "--out", tmp_path / "out") == 0
    write_net(own, seed=1)
    assert run(*words, "--out", tmp_path / "out") == 2


def test_two_files_of_one_name_are_refused(net, tmp_path):
    (tmp_path / "tiny.safetensors").write_bytes(net.read_bytes())
    manifest = write_cases(tmp_path / "data")
    with pytest.raises(ModelError, match="tiny"):
        Plan(str(manifest), (str(net), str(tmp_path / "tiny.safetensors"))).methods()


def test_no_path_of_this_machine_is_in_what_is_published(net, tmp_path):
    words = (
        "bench",
        "modalities",
        "--data",
        write_cases(tmp_path / "data"),
        "--model",
        net,
        "ellipse",
        "--kind",
        "image",
    )
    assert run(*words, "--out", tmp_path / "out", "--quiet") == 0
    assert str(net.parent) not in (tmp_path / "out" / "modalities.json").read_text()
    assert read_lock(tmp_path / "out")["settings"]["models"] == ["tiny", "ellipse"]


@pytest.fixture
def embedded() -> None:
    from voxtrace.engines import open_engine

    try:
        open_engine("voxtrace-small")
    except CheckpointError as error:
        pytest.skip(f"the embedded weights do not fit the net, which is being retrained: {str(error)[:120]}")


@pytest.mark.data
@pytest.mark.usefixtures("embedded")
def test_the_embedded_net_finds_a_lesion_and_a_heart(data_root, tmp_path):
    words = ("--set", "dermoscopy__isic2017", "mr__sunnybrook_cine", "--most", "1", "--objects", "1")
    assert run("evaluate", "--data", data_root, *words, "--out", tmp_path / "out") == 0
    picture, volume = read_results(tmp_path / "out")
    assert picture.dsc > 0.8
    assert volume.dsc > 0.5
    assert picture.nsd < 1
    figures = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert figures["overall"]["dsc"]["mean"] == pytest.approx((picture.dsc + volume.dsc) / 2, abs=1e-6)
