"""The demo takes a real scan through the whole program."""

import pytest
from PIL import Image

from fake_engine import FakeEngine
from voxtrace import demo, engines
from voxtrace.io import read

pytestmark = pytest.mark.real


def test_the_demo_writes_scan_mask_and_picture_and_shows_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(engines, "open_engine", lambda *_asked: FakeEngine())
    assert demo.main(["-o", str(tmp_path / "out")]) == 0
    scan, mask = read(tmp_path / "out" / "scan.nii.gz"), read(tmp_path / "out" / "mask.nii.gz")
    assert scan.shape == (24, 96, 128)
    assert mask.same_geometry(scan)
    assert Image.open(tmp_path / "out" / "preview.png").width > 600
    said = capsys.readouterr().out
    assert f"voxtrace segment {tmp_path / 'out' / 'scan.nii.gz'}" in said
    assert str(tmp_path / "out" / "preview.png") in said


@pytest.mark.torch
def test_the_demo_finds_the_brain_with_the_embedded_weights(tmp_path):
    from voxtrace import checkpoints

    if not checkpoints.find("voxtrace-small").path.is_file():
        pytest.skip("the embedded weights are not in this tree")
    assert demo.main(["-o", str(tmp_path)]) == 0
    scan, mask = read(tmp_path / "scan.nii.gz").array, read(tmp_path / "mask.nii.gz").array > 0
    tissue = scan[12] > 180
    assert 2 * (mask[12] & tissue).sum() / (mask[12].sum() + tissue.sum()) > 0.9
