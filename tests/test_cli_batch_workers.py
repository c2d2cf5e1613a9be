"""A batch with workers: what they leave word of, ask for and send; processes that are killed; options and clusters."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from batch_kit import lines, running, write_cases
from command_line import write_scan
from ray_kit import THREADS, begins, wait_for
from voxtrace.cli.batch_case import CaseWork, Task
from voxtrace.cli.batch_list import read_jobs
from voxtrace.cli.batch_places import put_in_place
from voxtrace.cli.batch_record import RECORD
from voxtrace.cli.batch_slips import WORKING, write_slip
from voxtrace.cli.batch_sources import files_of
from voxtrace.cli.batch_worker import Parcel, Unseen, WorkerWork
from voxtrace.cli.options import ModelOptions, ReadOptions
from voxtrace.errors import OutputError


@pytest.fixture
def cases(tmp_path):
    """a, b and c with their prompts."""
    return write_cases(tmp_path / "cases")


@pytest.fixture
def batch(voxtrace, cases, tmp_path):
    return running(voxtrace, cases, tmp_path / "out")


def test_what_workers_finished_and_no_driver_heard_of_is_not_done_again(voxtrace, batch, tmp_path):
    out = tmp_path / "out"
    batch()
    rows = lines(out)
    (out / RECORD).write_text("\n".join(json.dumps(row) for row in rows[:-1]) + "\n")  # c was only started
    (out / WORKING).mkdir()
    write_slip(out / WORKING / "c.json", rows[-1])
    opened = len(voxtrace.opened)
    assert batch() == ["skipped"] * 3
    assert len(voxtrace.opened) == opened
    assert lines(out)[-1]["out"] == "c.nii.gz"


def test_slips_of_what_was_not_begun_are_not_believed(batch, tmp_path):
    (tmp_path / "out" / WORKING).mkdir(parents=True)
    write_slip(tmp_path / "out" / WORKING / "c.json", {"out": "c.nii.gz", "status": "done"})
    (tmp_path / "out" / WORKING / "b.json").write_text('{"out": "b.nii')
    assert batch() == ["done"] * 3


def parcel_of(job, out, probe_token="right"):
    (out / WORKING).mkdir(parents=True, exist_ok=True)
    (out / WORKING / "probe").write_text(probe_token)
    sees = tuple((path, path.stat().st_size) for path in files_of(job))
    return Parcel(Task(job, job.out.name, False), sees, out / WORKING / "slip.json")


def test_a_worker_asks_for_files_that_it_does_not_see(cases, tmp_path):
    out = tmp_path / "out"
    job = read_jobs(cases, out)[0]
    work = WorkerWork(CaseWork(ModelOptions(), ReadOptions()), out / WORKING / "probe", "right")
    assert work(parcel_of(job, out, "of another folder with this name")) == Unseen()
    parcel = parcel_of(job, out)
    with (cases / "a.nii.gz").open("ab") as file:
        file.write(b"longer than on the driver's machine")
    assert work(parcel) == Unseen()
    (cases / "a.nii.gz").unlink()
    assert work(parcel) == Unseen()


def test_what_a_worker_sends_never_replaces_a_file_that_is_not_ours(tmp_path):
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(b"scan")
    with pytest.raises(OutputError, match="exists already"):
        put_in_place({tmp_path / "new": b"mask", scan: b"mask"}, False, [])
    with pytest.raises(OutputError, match="overwrite the input"):
        put_in_place({scan: b"mask"}, True, [scan])
    assert scan.read_bytes() == b"scan"
    put_in_place({scan: b"mask"}, True, [])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mask"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "0"], "--workers 0: at least 1"),
        (["--workers", "2", "--cpus-per-worker", "0"], "--cpus-per-worker 0: at least 1"),
        (["--workers", "2", "--retries", "-1"], "--retries -1: at least 0"),
        (["--workers", "2", "--gpus-per-worker", "1"], "needs --cluster"),
        (["--cluster", "local", "--gpus-per-worker", "1.5"], "a part of one GPU"),
        (["--cluster", "somewhere"], "write local, HOST:PORT"),
        (["--cpus-per-worker", "4"], "--cpus-per-worker is about workers, and there are none; add --workers N"),
        (["--retries", "0"], "--retries is about workers"),
        (["--send"], "--send is about workers"),
    ],
)
def test_options_that_mean_nothing(fails, cases, tmp_path, words, said):
    assert said in fails("batch", cases, "-o", tmp_path / "out", *words)


def test_a_cluster_that_is_not_there_is_told_with_the_way_to_start_one(fails, cases, tmp_path):
    pytest.importorskip("ray")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RECORD).touch()
    start = time.monotonic()
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        said = fails("batch", cases, "-o", tmp_path / "out", "--cluster", address)
        assert f"--cluster {address}: nothing answers there" in said
        assert "ray start --head" in said
    assert time.monotonic() - start < 15


def test_without_ray_its_package_is_named(fails, cases, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RECORD).touch()
    said = fails("batch", cases, "-o", tmp_path / "out", "--cluster", "local")
    assert "pip install 'voxtrace[cluster]'" in said


def test_a_finished_batch_asks_no_cluster(voxtrace, cases, tmp_path, monkeypatch):
    voxtrace("batch", cases, "-o", tmp_path / "out")
    ran = voxtrace("batch", cases, "-o", tmp_path / "out", "--cluster", "127.0.0.1:1")
    assert (ran.code, "3 skipped" in ran.out) == (0, True)


@pytest.mark.real
def test_a_worker_that_is_killed_costs_nothing_and_masks_are_those_of_one_process(tmp_path):
    cases = tmp_path / "cases"
    cases.mkdir()
    box = {"kind": "box", "z": 1, "y0": 5, "x0": 12, "y1": 15, "x1": 22}
    for name in "ab":
        write_scan(cases / f"{name}.nii.gz", (3, 24, 28), seed=ord(name))
        (cases / f"{name}.prompts.json").write_text(json.dumps({"objects": [{"prompts": [box]}]}))
    out, environment = tmp_path / "out", os.environ | THREADS
    alone = begins(environment, cases, "-o", tmp_path / "alone")
    driver = begins(environment, cases, "-o", out, "--workers", 2, "--json")
    wait_for(lambda: (out / RECORD).exists() and '"started"' in (out / RECORD).read_text(), "a case")
    os.kill(workers_of(driver.pid)[0], signal.SIGKILL)
    text, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, err
    assert [row["status"] for row in json.loads(text)["results"]] == ["done"] * 2
    assert not list(out.glob(".*"))
    assert sum(row["status"] == "started" for row in lines(out)) == 2  # it was begun again, by another
    assert alone.wait(120) == 0
    for name in "ab":
        masks = [np.asarray(nibabel.load(folder / f"{name}.nii.gz").dataobj) for folder in (out, tmp_path / "alone")]
        np.testing.assert_array_equal(*masks)


def workers_of(driver: int) -> list[int]:
    """The processes of a driver's workers."""
    children = map(int, Path(f"/proc/{driver}/task/{driver}/children").read_text().split())
    return [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
