"""The mock competition: its cases, its submissions, what became of every misdeed, and all of it held at once."""

import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from challenge_kit import SANDBOXES, working, write_case
from command_line import write_mask, write_scan
from fake_engine import FakeEngine
from voxtrace.bench.baselines import ellipse
from voxtrace.bench.challenge.answering import answer
from voxtrace.bench.challenge.cases import list_cases
from voxtrace.bench.challenge.limits import parse_limits
from voxtrace.bench.challenge.running import Plan, run_plan
from voxtrace.bench.challenge.submission import read_submission
from voxtrace.bench.competition import holding
from voxtrace.bench.competition.__main__ import main
from voxtrace.bench.competition.cases import make_cases, write_npz
from voxtrace.bench.competition.holding import FIRST, SECOND, Competition, hold
from voxtrace.bench.competition.misdeeds import MARK, left_behind, misdeeds
from voxtrace.bench.lock import read_lock
from voxtrace.errors import CaseMissingError, InputError, PromptError
from voxtrace.prompts import Box

# One after the other: each watches the machine's processes, memory groups and disk.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("sandbox")]

SUBMISSIONS = Path(__file__).resolve().parents[1] / "competition"
SHAPE = (30, 140, 300)  # in a case every third pixel of it, and twelve slices
LIMITS = "memory=256M,cpus=1,seconds={},disk=16M,processes=32"


@pytest.fixture
def labelled(tmp_path):
    """A manifest of a volume with two blocks and one of three voxels; spacing 2 x 1 x 3 mm in x, y, z."""
    folder = tmp_path / "data"
    folder.mkdir()
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:14, 30:90, 150:240] = 7
    labels[12:17, 90:120, 30:60] = 3
    labels[10, 0, :3] = 5
    write_scan(folder / "scan.nii.gz", SHAPE)
    write_mask(folder / "labels.nii.gz", labels)
    row = {"id": "blocks/1", "set": "blocks", "kind": "volume", "modality": "ct", "image": "scan.nii.gz"}
    row |= {"mask": "labels.nii.gz", "label_type": "semantic", "split": "val"}
    (folder / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def test_a_case_is_thinned_and_asks_for_the_tight_boxes_of_its_objects(labelled, tmp_path):
    (made,) = make_cases(labelled, tmp_path / "cases", tmp_path / "truth", ["blocks"])
    assert (made.name, made.source, made.objects) == ("3DBox_blocks_0001.npz", "blocks/1", 2)
    case, truth = np.load(tmp_path / "cases" / made.name), np.load(tmp_path / "truth" / made.name)
    assert sorted(case.files) == ["boxes", "imgs", "spacing"]
    assert case["imgs"].shape == truth["gts"].shape == (12, 47, 100)
    assert case["spacing"].tolist() == [6.0, 3.0, 3.0]
    # Slices 6 to 17 are kept, for the objects lie on 8 to 16; rows and columns are every third.
    assert case["boxes"].tolist() == [[10, 30, 6, 19, 39, 10], [50, 10, 2, 79, 29, 7]]
    for number, (x0, y0, z0, x1, y1, z1) in enumerate(case["boxes"].tolist(), 1):
        assert (truth["gts"][z0 : z1 + 1, y0 : y1 + 1, x0 : x1 + 1] == number).all()
        assert (truth["gts"] == number).sum() == (z1 - z0 + 1) * (y1 - y0 + 1) * (x1 - x0 + 1)


def test_cases_are_the_same_bytes_whenever_they_are_made(tmp_path, monkeypatch):
    for year in (2001, 2025):
        monkeypatch.setattr(zipfile.time, "localtime", lambda _=None, year=year: (year, 1, 1, 0, 0, 0))
        write_npz(tmp_path / f"{year}.npz", {"imgs": np.arange(6).reshape(2, 3)})
    assert (tmp_path / "2001.npz").read_bytes() == (tmp_path / "2025.npz").read_bytes()
    assert np.load(tmp_path / "2001.npz")["imgs"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_set_without_a_case_or_an_object_is_told(labelled, tmp_path):
    for sets, split, said in ((["blocks"], "train", "split val"), (["blocks"], "val", "no object of 50 voxels")):
        manifest = labelled / "manifest.jsonl"
        manifest.write_text(manifest.read_text().replace('"val"', f'"{split}"'))
        write_mask(labelled / "labels.nii.gz", np.zeros(SHAPE, np.uint8))
        with pytest.raises(CaseMissingError, match=said):
            make_cases(labelled, tmp_path / "cases", tmp_path / "truth", sets)
        manifest.write_text(manifest.read_text().replace('"train"', '"val"'))


def write_inputs(folder: Path, name: str, **arrays: np.ndarray) -> Path:
    folder.mkdir()
    np.savez(folder / name, **arrays)
    return folder


def answered(engine: FakeEngine, inputs: Path) -> np.ndarray:
    return np.load(answer(engine, inputs, inputs.parent))["segs"]


def test_an_engine_answers_in_the_order_of_the_boxes(tmp_path):
    image = np.full((20, 30, 3), 10, np.uint8)
    image[2:6, 3:9], image[10:18, 12:25] = 100, 200
    boxes = np.array([[12, 10, 24, 17], [3, 2, 8, 5]])
    labels = answered(FakeEngine(), write_inputs(tmp_path / "in", "2DBox_US_1.npz", imgs=image, boxes=boxes))
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, 1 * (image[..., 0] == 200) + 2 * (image[..., 0] == 100))


@pytest.mark.parametrize(("z0", "z1"), [(2, 4), (3, 3)])
def test_an_object_of_a_volume_is_on_the_slices_of_its_box_alone(tmp_path, z0, z1):
    """The block itself goes on through all seven slices."""
    image = np.full((7, 20, 30), 10, np.uint8)
    image[:, 5:10, 8:20] = 150
    case = {"imgs": image, "boxes": np.array([[8, 5, z0, 19, 9, z1]]), "spacing": np.ones(3)}
    labels = answered(FakeEngine(), write_inputs(tmp_path / "in", "3DBox_CT_1.npz", **case))
    wanted = image == 150
    wanted[:z0] = wanted[z1 + 1 :] = False
    assert np.array_equal(labels, wanted)


def test_what_cannot_be_answered_is_told(tmp_path):
    inputs = write_inputs(tmp_path / "in", "2DBox_US_1.npz", imgs=np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(PromptError, match="asks for nothing"):
        answer(FakeEngine(), inputs, tmp_path)
    shutil.copy(inputs / "2DBox_US_1.npz", inputs / "2DBox_US_2.npz")
    with pytest.raises(CaseMissingError, match="holds 2 npz files"):
        answer(FakeEngine(), inputs, tmp_path)


def submitted(name: str, inputs: Path) -> np.ndarray:
    """What a submission writes, run outside of a sandbox: for those that can be trusted."""
    program = SUBMISSIONS / name / "predict.py"
    subprocess.run([sys.executable, "-B", program, inputs, inputs.parent], check=True, timeout=60)
    (file,) = inputs.iterdir()
    return np.load(inputs.parent / file.name)["segs"]


def test_the_ellipse_is_that_of_the_benchmarks(tmp_path):
    boxes = np.array([[3, 2, 14, 9], [20, 5, 25, 17]])
    case = write_inputs(tmp_path / "in", "2DBox_US_1.npz", imgs=np.zeros((20, 30, 3), np.uint8), boxes=boxes)
    first, second = (ellipse(Box.on_slice(0, y0, x0, y1 + 1, x1 + 1), (20, 30)) for x0, y0, x1, y1 in boxes.tolist())
    assert np.array_equal(submitted("ellipse", case), first + 2 * second)


def test_the_ellipsoid_fills_its_share_of_the_box(tmp_path):
    boxes = np.array([[10, 4, 2, 49, 35, 21]])
    imgs = np.zeros((24, 40, 60), np.uint8)
    labels = submitted("ellipse", write_inputs(tmp_path / "in", "3DBox_CT_1.npz", imgs=imgs, boxes=boxes))
    places = np.argwhere(labels)
    assert (places.min(0).tolist(), places.max(0).tolist()) == ([2, 4, 10], [21, 35, 49])
    assert (labels == 1).sum() == pytest.approx(np.pi / 6 * 40 * 32 * 20, rel=0.01)


def test_grabcut_cuts_a_block_out_slice_by_slice(tmp_path):
    image = np.random.default_rng(0).normal(60, 4, (3, 30, 40))
    image[1:, 8:20, 12:28] += 100
    case = {"imgs": image.astype(np.uint8), "boxes": np.array([[9, 5, 1, 30, 22, 2]])}
    labels = submitted("grabcut", write_inputs(tmp_path / "in", "3DBox_CT_1.npz", **case))
    assert not labels[0].any()
    assert ((labels[1:] == 1) == (image[1:] > 110)).mean() > 0.995


QUICK = {  # by the case's number: what is recorded, and a part of the message
    1: ("crashed", "exit code 1; it said: SystemError: on purpose"),
    3: ("no-output", "exit code 0"),
    4: ("wrong-shape", "(3, 5)"),
    5: ("disk", "may write were used"),
    7: ("crashed", "reached nobody"),
    8: ("memory", "killed at the limit"),
    9: ("crashed", "wrote into none of 16 places"),
    10: ("unreadable", "a pickle, which could run code: not opened"),
    11: ("crashed", "saw 0 other cases, 0 secrets, 0 processes"),
    12: ("no-output", "exit code 0"),
}
ENDLESS = {
    2: ("timeout", "killed at the limit of 2 s"),
    6: ("timeout", "it reached the limit of 32 processes and threads"),
}


@pytest.mark.parametrize(("expected", "seconds"), [(QUICK, 30), (ENDLESS, 2)], ids=["quick", "endless"])
def test_every_misdeed_is_recorded_and_nothing_gets_out(tmp_path, expected, seconds):
    sandbox = working(SANDBOXES["namespaces"]())
    for number in expected:
        write_case(tmp_path / "cases", f"3DBox_CT_{number:04}.npz")
    submission, limits = read_submission(str(SUBMISSIONS / "misbehaving")), parse_limits(LIMITS.format(seconds))
    run = run_plan(Plan(submission, list_cases(tmp_path / "cases"), sandbox, limits, tmp_path / "out"))
    found = misdeeds(run, left_behind(tmp_path, SUBMISSIONS))
    assert len({one.deed for one in found}) == len(expected)
    for one, (status, said) in zip(found, expected.values(), strict=True):
        assert (one.status, said in one.message) == (status, True), one
        assert one.escaped == ()
        assert one.seconds < seconds + 5
        assert one.peak_memory is not None
        assert one.peak_memory < 2 * limits.memory


def test_what_is_left_behind_is_found(tmp_path):
    (tmp_path / f"{MARK}-1").touch()
    stay = "import time; print('here', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-S", "-c", stay, MARK], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # until then it may still bear the name of this process
        found = left_behind(tmp_path)
    finally:
        process.kill()
        process.communicate()
    assert str(tmp_path / f"{MARK}-1") in found
    assert any(line.startswith(f"process {process.pid}:") for line in found)
    assert (SUBMISSIONS / "misbehaving" / "submission.toml").read_text().count(MARK) == 1


@pytest.fixture
def entered(tmp_path, monkeypatch):
    """Two that are the ellipse under other names, and the one that misbehaves. None reads voxtrace's own files, which
    somebody may be editing."""
    working(SANDBOXES["namespaces"]())
    monkeypatch.setattr(holding, "allowed", tuple)
    folder = tmp_path / "entered"
    for source, name in (("ellipse", FIRST), ("ellipse", SECOND), ("misbehaving", "misbehaving")):
        shutil.copytree(SUBMISSIONS / source, folder / name)
        settings = folder / name / "submission.toml"
        settings.write_text(settings.read_text().replace(source, name, 1))
    return folder


def test_a_competition_is_held_from_cases_to_standings(labelled, entered, tmp_path):
    out = tmp_path / "out"
    asked = Competition(labelled, out, entered, parse_limits(LIMITS.format(30)), sets=("blocks",))
    seen = []
    held = hold(asked, lambda place, row: seen.append((place, row.status)), ["--data", "x"])
    runs = [f"runs/{name}" for name in ("misbehaving", FIRST, SECOND)]
    assert sorted(seen) == sorted([(runs[0], "crashed"), (runs[1], "ok"), (runs[2], "ok"), (f"again/{FIRST}", "ok")])
    assert [row["submission"] for row in held.standings.table()][-1] == "misbehaving"
    results = out / "results"
    names = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    tables = {"ranking.csv", "ranking.json", "reproduction.json", "comparison.json", "misdeeds.json", "standings.md"}
    kept = {f"{run}/{name}" for run in runs for name in ("results.csv", "results.json", "lock.json")}
    assert names == tables | {"lock.json"} | kept
    repeated = json.loads((results / "reproduction.json").read_text())
    assert (repeated["reproduced"], repeated["changed"]) == (True, [])
    assert (repeated["first"], repeated["second"]) == (f"runs/{FIRST}", f"again/{FIRST}")
    lock = read_lock(results)
    assert (lock["what"], lock["command"]) == ("competition", ["--data", "x"])
    assert lock["settings"]["submissions"].keys() == {FIRST, SECOND, "misbehaving"}
    assert lock["settings"]["cases"] == [{"name": "3DBox_blocks_0001.npz", "source": "blocks/1", "objects": 2}]
    page = (results / "standings.md").read_text()
    assert "| crashes | crashed | no output; exit code 1; it said: SystemError: on purpose |" in page
    assert f"again/{FIRST} against runs/{FIRST}: 1 identical" in page
    assert str(tmp_path) not in "".join(path.read_text() for path in results.rglob("*") if path.is_file())


def test_a_competition_goes_on_where_it_was_and_not_with_other_limits(labelled, entered, tmp_path, capsys):
    words = ["--data", labelled, "--out", tmp_path / "out", "--submissions", entered]
    asked = Competition(labelled, tmp_path / "out", entered, parse_limits(LIMITS.format(30)), sets=("blocks",))
    hold(asked)
    seen = []
    hold(asked, lambda place, row: seen.append(place))
    assert seen == []
    with pytest.raises(InputError, match=r"limits\.seconds was 30"):
        hold(replace(asked, limits=parse_limits(LIMITS.format(31))))
    assert main([str(word) for word in words]) == 2
    assert "no case belongs to" in capsys.readouterr().err


def test_the_command_keeps_no_place_of_this_machine(labelled, entered, tmp_path, capsys):
    words = ["--data", labelled, "--out", tmp_path / "out", "--submissions", entered, "--sets", "blocks"]
    words += ["--limits", "cpus=1,seconds=30"]
    assert main([str(word) for word in words]) == 0
    command = read_lock(tmp_path / "out" / "results")["command"]
    assert command[:6] == ["--data", "data", "--out", "out", "--submissions", "entered"]
    assert "# A mock competition" in capsys.readouterr().out
