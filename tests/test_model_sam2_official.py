"""Our SAM 2 against the official code (PyPI `sam2` 1.1.0, a repack): names of all parameters, and films frame by frame.

The official code runs in a process of its own, from the folder that `make oracle` fills (VOXTRACE_ORACLE, by default
.venv/oracle); without that folder these tests skip. test_model_sam2_parity_*.py compare with transformers everywhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam2_twins import (
    SMALL_TRUNK,
    TOLERANCE,
    Masks,
    Objects,
    build_ours,
    film,
    marks,
    our_masks,
    pixel_indices,
    pixels,
    small_config,
    worst,
)
from voxtrace.engines.torch import TorchEngine
from voxtrace.model.config import CONFIGS
from voxtrace.model.sam2 import Sam2
from voxtrace.prompts import BOX_START, FramePrompt

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"2.1": "sam2.1/sam2.1_hiera_", "2.0": "sam2/sam2_hiera_"}
SIZES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
SIDE, LAST = 128, 12


def disc(x: int, y: int, radius: int) -> FramePrompt:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return FramePrompt(mask=(rows - y) ** 2 + (columns - x) ** 2 < radius**2)


BOX, CLICK = marks(box=(20, 30, 70, 90)), marks((40, 70, 1))
CLICKS, OTHER_CLICKS = marks((40, 70, 1), (100, 30, 0)), marks((80, 80, 1), (10, 10, 0), (90, 70, 1))
# name -> objects, start, reverse
WALKS: dict[str, tuple[Objects, int, bool]] = {
    "box": ({1: {0: BOX}}, 0, False),
    "one click": ({1: {0: CLICK}}, 0, False),
    "clicks": ({1: {0: CLICKS}}, 0, False),
    "box and clicks": ({1: {0: marks((40, 70, 1), (100, 30, 0), box=(20, 30, 70, 90))}}, 0, False),
    "mask": ({1: {0: disc(50, 70, 25)}}, 0, False),
    "two objects": ({1: {0: BOX}, 2: {0: CLICK}}, 0, False),
    "an object that is marked later": ({1: {0: BOX}, 2: {5: CLICKS}}, 0, False),
    "prompts on two frames": ({1: {0: BOX, 7: OTHER_CLICKS}}, 0, False),
    "mask and a correction before it": ({1: {2: CLICKS, 9: disc(70, 60, 20)}}, 2, False),
    "reverse": ({1: {LAST: BOX}}, LAST, True),
    "reverse, prompts on two frames": ({1: {3: disc(50, 70, 25), 10: OTHER_CLICKS}}, LAST, True),
}
# Biases of the object score that leave the object present on some frames and absent on others.
PRESENT = {"2.1": 7.25, "2.0": 5.3}


@pytest.fixture(scope="module")
def oracle() -> Path:
    folder = Path(os.environ.get("VOXTRACE_ORACLE", ROOT / ".venv" / "oracle"))
    if not (folder / "sam2").is_dir():
        pytest.skip(f"the official sam2 is not in {folder}: run `make oracle`, or set VOXTRACE_ORACLE")
    return folder


def ask(oracle: Path, order: Mapping[str, Any], folder: Path) -> Any:
    """Let the official code answer in its own process."""
    torch.save(dict(order), folder / "order.pt")
    command = [sys.executable, str(Path(__file__).with_name("official_sam2.py")), "order.pt", "answer.pt"]
    run = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(oracle)}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return torch.load(folder / "answer.pt", weights_only=True)


def official_masks(
    oracle: Path, net: Sam2, version: str, pictures: Sequence[np.ndarray], folder: Path
) -> dict[str, Masks]:
    """All WALKS by the official predictor, built from its own configuration with our weights."""
    trunk = SMALL_TRUNK
    overrides = {
        "image_size": SIDE,
        "image_encoder.trunk.embed_dim": trunk.embed_dim,
        "image_encoder.trunk.num_heads": trunk.num_heads,
        "image_encoder.trunk.stages": list(trunk.stages),
        "image_encoder.trunk.global_att_blocks": list(trunk.global_blocks),
        "image_encoder.neck.backbone_channel_list": list(reversed(trunk.channels)),
    }
    order = {
        "config": f"configs/{FOLDERS[version]}t.yaml",
        "overrides": [f"++model.{key}={value}".replace(" ", "") for key, value in overrides.items()],
        "state": net.state_dict(),
        "frames": pixels(pictures),
        "walks": [
            {"prompts": plain(objects), "start": start, "reverse": back} for objects, start, back in WALKS.values()
        ],
    }
    answers = ask(oracle, order, folder)
    return {
        name: {frame: (logits.numpy(), scores.numpy()) for frame, (logits, scores) in answer.items()}
        for name, answer in zip(WALKS, answers, strict=True)
    }


def plain(objects: Objects) -> list[dict[str, Any]]:
    """Prompts as the official predictor takes them: pixel indices, the box apart."""
    prompts: list[dict[str, Any]] = []
    for name, frames in objects.items():
        for frame, prompt in frames.items():
            points, labels = (value[0] for value in pixel_indices(prompt))
            click = labels < BOX_START
            given = {
                "points": points[click] if click.any() else None,
                "labels": labels[click] if click.any() else None,
                "box": points[~click].flatten() if prompt.has_box else None,
                "mask": None if prompt.mask is None else torch.from_numpy(prompt.mask),
            }
            prompts.append({"object": name, "frame": frame, **given})
    return prompts


@pytest.fixture(scope="module", params=["2.1", "2.0"])
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return film(LAST + 1, SIDE)


@pytest.fixture(scope="module")
def net(version: str) -> Sam2:
    return build_ours(small_config(version), present=PRESENT[version])


@pytest.fixture(scope="module")
def official(
    oracle: Path, net: Sam2, version: str, pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Masks]:
    return official_masks(oracle, net, version, pictures, tmp_path_factory.mktemp("official"))


@pytest.mark.parametrize("name", WALKS)
def test_every_frame_equals_the_official_code(
    net: Sam2, pictures: list[np.ndarray], official: dict[str, Masks], name: str
) -> None:
    objects, start, reverse = WALKS[name]
    ours = our_masks(TorchEngine(net, "cpu"), pictures, objects, start, reverse)
    assert worst(ours, official[name], objects) <= TOLERANCE


def test_object_is_seen_present_and_absent_on_the_films(net: Sam2, pictures: list[np.ndarray]) -> None:
    """Otherwise the walks above would not compare what is done with an absent object."""
    masks = our_masks(TorchEngine(net, "cpu"), pictures, *WALKS["clicks"])
    present = [bool(scores[0] > 0) for _, scores in masks.values()]
    assert 2 < sum(present) < len(present) - 2


def test_names_and_shapes_of_all_eight_nets_are_the_official_ones(oracle: Path, tmp_path: Path) -> None:
    files = {
        f"sam{version}_hiera_{size}".replace("sam2.0", "sam2"): f"configs/{folder}{letter}.yaml"
        for version, folder in FOLDERS.items()
        for size, letter in SIZES.items()
    }
    official = ask(oracle, {"configs": list(files.values())}, tmp_path)
    for name, file in files.items():
        with torch.device("meta"):
            ours = {key: tuple(value.shape) for key, value in Sam2(CONFIGS[name]).state_dict().items()}
        assert ours == official[file], name
