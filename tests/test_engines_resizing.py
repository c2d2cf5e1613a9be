"""Resizing in numpy is PyTorch's, and keeps what it must."""

import numpy as np
import pytest

from voxtrace.engines.resizing import resize

SHAPES = [
    ((37, 53), (96, 96)),
    ((512, 400), (96, 96)),
    ((1030, 70), (96, 33)),  # long enough for the way by pieces
    ((96, 96), (333, 512)),
    ((96, 96), (24, 25)),
    ((1, 1), (7, 5)),
    ((5, 9), (1, 3)),
]


@pytest.mark.torch
@pytest.mark.parametrize(("shape", "wanted"), SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "antialias"), [("bilinear", False), ("bilinear", True), ("bicubic", True)])
def test_as_pytorch_does_it(shape: tuple[int, int], wanted: tuple[int, int], kind: str, antialias: bool) -> None:
    import torch
    from torch.nn.functional import interpolate

    grey = np.random.default_rng(0).integers(0, 256, (2, 3, *shape), np.uint8)
    truth = interpolate(torch.from_numpy(grey).float(), wanted, mode=kind, align_corners=False, antialias=antialias)
    found = resize(grey, wanted, antialias, kind)  # type: ignore[arg-type]
    assert found.dtype == np.float32
    assert np.abs(found - truth.numpy()).max() / 255 < 2e-5


@pytest.mark.parametrize("antialias", [False, True])
def test_a_constant_stays_one(antialias: bool) -> None:
    assert np.abs(resize(np.full((3, 700, 41), 7.0), (96, 50), antialias) - 7).max() < 1e-5


def test_the_same_size_is_left_alone() -> None:
    grey = np.random.default_rng(0).random((1, 4, 6), np.float32)
    assert resize(grey, (4, 6), antialias=True) is grey


def test_rows_and_columns_are_not_confused() -> None:
    ramp = np.broadcast_to(np.arange(6.0)[:, None], (6, 4))
    up = resize(ramp, (12, 4))
    assert (np.diff(up[:, 0]) >= 0).all()
    assert (up == up[:, :1]).all()
