"""Without PyTorch: segmenting, following, sets, the demo. Each in a process where importing torch is an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from command_line import BOX, dice, true_lesion, write_picture, write_scan
from voxtrace.engines import find_model
from voxtrace.io import read_mask

pytestmark = pytest.mark.real

BLOCKED = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "onnx", "onnxscript"}:
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, NoTorch())
from voxtrace.cli import main

code = main(sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(code)
"""


@pytest.fixture(scope="module", autouse=True)
def graphs_there() -> None:
    pytest.importorskip("openvino")
    why = find_model("voxtrace-small").why_no_graphs
    if why:
        pytest.skip(why)


def run(*words: object, code: str = BLOCKED, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-c", code, *map(str, words)]
    settings = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(command, capture_output=True, text=True, env=settings, timeout=240, check=False)


def test_a_volume_is_segmented(tmp_path):
    scan = write_scan(tmp_path / "ct.nii.gz")
    ran = run("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, "--json")
    assert ran.returncode == 0, ran.stderr
    assert dice(read_mask(tmp_path / "m.nii.gz") > 0, true_lesion()) > 0.5
    assert "OpenVINO" in json.loads(ran.stdout)["engine"]


def test_a_set_of_pictures_is_found_from_one_mark(tmp_path):
    (tmp_path / "set").mkdir()
    for index, left in enumerate((8, 20, 30)):
        write_picture(tmp_path / "set" / f"{index}.png", left)
    first = tmp_path / "set" / "0.png"
    ran = run("oneprompt", tmp_path / "set", "-o", tmp_path / "out", "--image", first.name, "--box", "10,8,20,20")
    assert ran.returncode == 0, ran.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_the_second_start_takes_the_compiled_graphs(tmp_path):
    picture = write_picture(tmp_path / "p.png")
    words = ("segment", picture, "--box", "10,20,20,32", "--overwrite")
    masks = []
    for _ in range(2):
        ran = run(*words, "-o", tmp_path / "m.png", VOXTRACE_CACHE=str(tmp_path / "kept"))
        assert ran.returncode == 0, ran.stderr
        masks.append(read_mask(tmp_path / "m.png"))
    kept = sorted((tmp_path / "kept" / "compiled").iterdir())
    assert len(kept) == 2, "of encode and begin"
    assert np.array_equal(*masks)
    kept[0].write_bytes(kept[0].read_bytes()[:1000])
    ran = run(*words, "-o", tmp_path / "m.png", VOXTRACE_CACHE=str(tmp_path / "kept"))
    assert ran.returncode == 0
    assert "compiled anew" in ran.stderr
    assert np.array_equal(read_mask(tmp_path / "m.png"), masks[0])


def test_a_first_mask_waits_for_nothing_that_it_does_not_need(tmp_path):
    """Each of these takes 20 to 300 ms to import."""
    listing = BLOCKED.replace("assert", "print('|'.join(sys.modules), file=sys.stderr)\nassert")
    ran = run(
        "segment", write_picture(tmp_path / "p.png"), "-o", tmp_path / "m.png", "--box", "10,20,20,32", code=listing
    )
    assert ran.returncode == 0, ran.stderr
    imported = set(ran.stderr.splitlines()[-1].split("|"))
    assert "openvino" in imported
    others = {"av", "httpx", "matplotlib", "nibabel", "pydicom", "rich", "scipy", "tifffile", "voxtrace.preview"}
    assert not others & imported


def test_onnx_runtime_draws_the_same(tmp_path):
    pytest.importorskip("onnxruntime")
    picture = write_picture(tmp_path / "p.png")
    for engine in ("openvino", "onnxruntime"):
        words = ("-o", tmp_path / f"{engine}.png", "--box", "10,20,20,32", "--engine", engine)
        ran = run("segment", picture, *words)
        assert ran.returncode == 0, ran.stderr
    assert np.array_equal(read_mask(tmp_path / "openvino.png"), read_mask(tmp_path / "onnxruntime.png"))


def test_a_mistake_told_while_graphs_are_opened_is_all_that_is_told(tmp_path):
    Image.new("L", (50, 40)).save(tmp_path / "empty.png")
    words = ("segment", tmp_path / "empty.png", "-o", tmp_path / "m.png", "--box", "10,20,20,32")
    ran = run(*words, VOXTRACE_CACHE="off")
    assert ran.returncode == 2, ran.stderr
    assert "is empty" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


def test_what_needs_torch_says_so(tmp_path):
    picture = write_picture(tmp_path / "p.png")
    ran = run("segment", picture, "-o", tmp_path / "m.png", "--box", "10,20,20,32", "--engine", "torch")
    assert ran.returncode == 2
    assert "pip install 'voxtrace[torch]'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_doctor_is_content():
    ran = run("doctor", code=BLOCKED.replace("assert", "#"))
    assert ran.returncode == 0, ran.stdout
    assert "openvino: " in ran.stdout
