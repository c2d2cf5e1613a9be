"""A batch that was stopped anywhere: what its record and folder still say, and what is done again."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from batch_kit import BOX, SHAPE, lines, running, write_cases
from command_line import write_mask, write_scan
from fake_engine import FakeEngine
from phantoms import lesion
from voxtrace import checkpoints
from voxtrace.cli.batch_case import CaseWork, preview_of
from voxtrace.cli.batch_list import Job, read_jobs
from voxtrace.cli.batch_places import remove_partial
from voxtrace.cli.batch_record import RECORD, Record
from voxtrace.cli.batch_run import BatchRun
from voxtrace.cli.batch_sources import files_of, settings_of
from voxtrace.cli.options import ModelOptions, ReadOptions
from voxtrace.errors import OutputError


@pytest.fixture
def cases(tmp_path):
    """a, b and c with their prompts."""
    return write_cases(tmp_path / "cases")


@pytest.fixture
def batch(voxtrace, cases, tmp_path):
    return running(voxtrace, cases, tmp_path / "out")


def test_every_place_where_the_record_can_be_cut_off_gives_the_same_end(batch, tmp_path):
    out = tmp_path / "out"
    batch()
    whole = (out / RECORD).read_bytes()
    last = whole[: len(whole) - 1].rindex(b"\n") + 1
    for cut in (0, 1, last - 1, last + 1, (last + len(whole)) // 2, len(whole) - 1):
        (out / RECORD).write_bytes(whole[:cut])
        if cut < last:  # then nothing says that the last mask is ours
            (out / "c.nii.gz").unlink()
        if cut <= 1:
            for name in "ab":
                (out / f"{name}.nii.gz").unlink()
        assert set(batch()) <= {"done", "skipped"}, cut
        rows = lines(out)
        assert {row["out"] for row in rows if row["status"] == "done"} == {"a.nii.gz", "b.nii.gz", "c.nii.gz"}
        assert batch() == ["skipped"] * 3


def test_a_line_that_was_written_whole_counts_though_its_end_is_missing(tmp_path):
    path = tmp_path / RECORD
    path.write_text('{"out": "a", "status": "done"}')
    with Record(path) as record:
        assert record.last["a"]["status"] == "done"
        record.write({"out": "b", "status": "done"})
    assert [row["out"] for row in lines(tmp_path)] == ["a", "b"]


def test_lines_in_the_middle_that_are_no_rows_are_kept_and_passed_over(tmp_path):
    path = tmp_path / RECORD
    path.write_text('{"out": "a"}\n\x00\x00\n[]\n{"out": "b"}\n{"ou')
    with Record(path) as record:
        assert set(record.last) == {"a", "b"}
    assert path.read_text() == '{"out": "a"}\n\x00\x00\n[]\n{"out": "b"}\n'


def test_a_folder_has_one_driver_at_a_time(tmp_path):
    with Record(tmp_path / RECORD), pytest.raises(OutputError, match="another voxtrace batch is writing"):
        Record(tmp_path / RECORD)
    Record(tmp_path / RECORD).__exit__()


def test_a_lock_goes_with_a_driver_that_was_killed(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from voxtrace.cli.batch_record import Record\n"
        "record = Record(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, tmp_path / RECORD], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(OutputError):
        Record(tmp_path / RECORD)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    with Record(tmp_path / RECORD) as record:
        assert record.last == {}


def test_a_line_is_on_the_disk_before_the_next_case_begins(voxtrace, cases, tmp_path, monkeypatch):
    seen, begin = [], FakeEngine.begin

    def looking(self, features, prompts):
        seen.append([row["status"] for row in lines(tmp_path / "out")])
        return begin(self, features, prompts)

    monkeypatch.setattr(FakeEngine, "begin", looking)
    voxtrace("batch", cases, "-o", tmp_path / "out")
    assert seen[-1] == ["started", "done", "started", "done", "started"]


def test_a_mask_that_is_gone_is_made_again(batch, tmp_path):
    batch()
    (tmp_path / "out" / "b.nii.gz").unlink()
    assert batch() == ["skipped", "done", "skipped"]


def test_objects_in_files_of_their_own_are_all_looked_for(batch, cases, tmp_path):
    two = {"objects": [{"name": name, "prompts": [BOX]} for name in ("left", "right")]}
    (cases / "b.prompts.json").write_text(json.dumps(two))
    assert batch("--overlap", "keep") == ["done"] * 3
    assert batch("--overlap", "keep") == ["skipped"] * 3
    (tmp_path / "out" / "b_right.nii.gz").unlink()
    assert batch("--overlap", "keep")[1] == "failed"  # the other one is in the way
    assert batch("--overlap", "keep", "--overwrite") == ["done"] * 3


def test_a_scan_that_changed_is_not_taken_for_done(batch, cases):
    batch()
    write_scan(cases / "b.nii.gz", SHAPE, seed=77)
    assert batch() == ["skipped", "failed", "skipped"]
    assert batch("--overwrite") == ["done"] * 3
    assert batch() == ["skipped"] * 3


def test_a_scan_that_was_only_copied_is_the_same_work(batch, cases):
    batch()
    for path in cases.iterdir():
        os.utime(path, (1e9, 1e9))
    assert batch() == ["skipped"] * 3


def test_changed_prompts_are_noticed(batch, cases):
    batch()
    (cases / "c.prompts.json").write_text(json.dumps({"objects": [{"prompts": [BOX | {"x1": 26}]}]}))
    assert batch() == ["skipped", "skipped", "failed"]


def test_a_mask_that_the_prompts_name_is_part_of_the_work(batch, cases, tmp_path):
    marked = lesion(SHAPE)
    marked[:6] = marked[7:] = False
    write_mask(tmp_path / "mark.nii.gz", marked)
    prompts = {"objects": [{"prompts": [{"kind": "mask", "file": "../mark.nii.gz"}]}]}
    (cases / "a.prompts.json").write_text(json.dumps(prompts))
    assert batch() == ["done"] * 3
    marked[6, 12, 21] ^= True
    write_mask(tmp_path / "mark.nii.gz", marked)
    assert batch() == ["failed", "skipped", "skipped"]


def test_where_it_is_computed_does_not_make_it_other_work(batch):
    batch()
    assert batch("--device", "cpu") == ["skipped"] * 3


@pytest.mark.usefixtures("voxtrace")
def test_a_case_that_died_between_its_mask_and_its_picture_can_be_done_again(cases, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    job = read_jobs(cases, out)[0]
    with Record(out / RECORD) as record:
        work = CaseWork(ModelOptions(), ReadOptions(), preview=True)
        task = BatchRun(out, work, record)._begin(job)
        assert work(task).row["status"] == "done"
        preview_of(job).unlink()
        assert work(task).row["status"] == "done"  # by another worker, which is given the same task


def test_half_written_files_of_a_killed_run_are_removed_and_no_others(batch, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / RECORD).write_text('{"out": "a.nii.gz", "status": "started", "ours": true}\n')
    for name in (".0123abcd.a.nii.gz", ".0123abcd.a_b.nii.gz", ".hidden.a.nii.gz"):
        (out / name).write_bytes(b"half")
    assert batch() == ["done"] * 3
    assert {path.name for path in out.iterdir() if path.name.startswith(".")} == {
        ".0123abcd.a_b.nii.gz",
        ".hidden.a.nii.gz",
    }


def test_half_written_masks_of_an_object_each_and_of_videos_are_removed(tmp_path):
    two = {"objects": [{"name": "left one", "prompts": []}, {"prompts": []}]}
    keep = ModelOptions(overlap="keep")
    left = (".0123abcd.a_left_one.nii.gz", ".0123abcd.a_object_2.nii.gz", ".0123abcd.a_other.nii.gz")
    for name in left:
        (tmp_path / name).write_bytes(b"half")
    remove_partial(Job(tmp_path / "a.nii.gz", two, tmp_path / "a.nii.gz"), keep)
    assert [path.name for path in tmp_path.iterdir()] == [left[2]]


def test_a_kill_while_a_videos_masks_are_written_leaves_what_the_next_run_removes(tmp_path, monkeypatch):
    from voxtrace.io import picture, write
    from voxtrace.volume import Video

    pixels = np.zeros((3, 8, 9, 3), np.uint8)

    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(picture, "write", killed)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # a killed process tidies nothing up
    with pytest.raises(SystemExit):
        write(tmp_path / "v", pixels[..., 0], like=Video(pixels, (3, 8, 9)))
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    remove_partial(Job(tmp_path / "v.mp4", {}, tmp_path / "v"), ModelOptions())
    assert not list(tmp_path.iterdir())


def test_other_weights_under_the_same_name_are_other_work(tmp_path):
    file = tmp_path / "mine.safetensors"
    shutil.copy(checkpoints.find("voxtrace-small").path, file)
    before = settings_of(ModelOptions(model=str(file)), ReadOptions())
    shutil.copy(file, tmp_path / "same")
    os.replace(tmp_path / "same", file)
    assert settings_of(ModelOptions(model=str(file)), ReadOptions()) == before
    with file.open("rb+") as weights:
        weights.seek(-4, 2)
        weights.write(b"\0\0\1\0")
    assert settings_of(ModelOptions(model=str(file)), ReadOptions()) != before


def test_a_header_brings_its_voxels_and_a_folder_its_slices(tmp_path):
    for name in ("ct.mhd", "ct.raw", "ct2.raw", "dicom/1.dcm", "dicom/2.dcm", "p.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"{}")
    prompts = tmp_path / "p.json"

    def names(scan):
        return [path.name for path in files_of(Job(tmp_path / scan, prompts, tmp_path / "o"))]

    assert names("ct.mhd") == ["ct.mhd", "ct.raw", "p.json"]
    assert names("dicom#3") == ["1.dcm", "2.dcm", "p.json"]


def test_an_interrupted_run_says_how_to_go_on_and_keeps_what_is_done(voxtrace, cases, tmp_path, monkeypatch):
    calls, begin = [], FakeEngine.begin

    def interrupted(self, features, prompts):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return begin(self, features, prompts)

    monkeypatch.setattr(FakeEngine, "begin", interrupted)
    words = ("batch", cases, "-o", tmp_path / "out")
    ran = voxtrace(*words)
    assert (ran.code, ran.err.splitlines()[-1]) == (
        130,
        "error: interrupted; nothing half-written is left; the same command goes on where it was",
    )
    assert "2 done, 1 skipped" in voxtrace(*words).out
