"""A batch on a real Ray cluster of two nodes: workers and drivers are killed, nothing is lost or done twice."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

from command_line import write_mask, write_scan
from phantoms import lesion
from ray_kit import THREADS, TwoNodes, alive, begins, two_nodes, wait_for

pytest.importorskip("ray")
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("ray")]  # one cluster for all

SHAPE = (3, 24, 28)
CASES = 5
GONE = 40  # more than two workers do before it is noticed that the cluster is gone
BOX = {"kind": "box", "z": 1, "y0": 5, "x0": 12, "y1": 15, "x1": 22}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """CASES phantoms, and a mask of what is on their middle slice."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(CASES):
        write_scan(folder / f"s{number}.nii.gz", SHAPE, seed=number)
    mask = np.zeros(SHAPE, bool)
    mask[1] = lesion(SHAPE)[1]
    write_mask(folder / "marked.nii.gz", mask)
    return folder


@pytest.fixture(scope="module")
def one_process(scans, tmp_path_factory):
    """The masks of all cases as a command without workers makes them; it runs while the cluster starts."""
    out = tmp_path_factory.mktemp("alone")
    return begins(os.environ | THREADS, write_list(scans, "alone", CASES), "-o", out), out


@pytest.fixture(scope="module")
def cluster(one_process):
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def alone(one_process, cluster):
    driver, out = one_process
    ended(driver)
    return {number: data for number, data in enumerate(masks(out).values())}


def write_list(folder: Path, run: str, cases: int) -> Path:
    """A list of phantoms whose masks are called RUN0, RUN1, ...: so the workers' logs are told apart. Every second one
    is marked by a mask's file."""
    lines = []
    for number in range(cases):
        mark = BOX if number % 2 else {"kind": "mask", "file": str(folder / "marked.nii.gz")}
        marks = {"objects": [{"name": "lesion", "prompts": [mark]}]}
        row = {"scan": f"s{number % CASES}.nii.gz", "prompts": marks, "out": f"{run}{number}.nii.gz"}
        lines.append(json.dumps(row))
    path = folder / f"{run}.jsonl"
    path.write_text("\n".join(lines))
    return path


def done(out: Path) -> Counter[str]:
    """How many lines of the record say that a case is done."""
    rows = [json.loads(line) for line in (out / "batch.jsonl").read_text().splitlines()]
    return Counter(row["out"] for row in rows if row["status"] == "done")


def told(cluster: TwoNodes, out: Path, what: str) -> Counter[str]:
    """How often each case was begun or ended by a worker."""
    return Counter(name for kind, name, _ in cluster.log(out) if kind == what)


def masks(out: Path) -> dict[str, bytes]:
    """The voxels of all masks."""
    return {path.name: np.asarray(nibabel.load(path).dataobj).tobytes() for path in sorted(out.glob("*.nii.gz"))}


def ended(driver, *codes: int, seconds: float = 120.0):
    out, err = driver.communicate(timeout=seconds)
    assert "Traceback" not in err, err
    assert driver.returncode in (0, *codes), err
    return out, err


class Killer:
    """Kills each worker that begins a case, so many times a case, until it is stopped."""

    def __init__(self, cluster: TwoNodes, out: Path, times: dict[str, int]) -> None:
        self.cluster, self.out, self.times = cluster, out, times
        self.killed: set[tuple[str, int]] = set()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Killer":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.stopped.wait(0.01):
            for what, name, process in self.cluster.log(self.out):
                so_far = sum(name == one for one, _ in self.killed)
                if what == "begins" and (name, process) not in self.killed and so_far < self.times.get(name, 0):
                    self.killed.add((name, process))
                    os.kill(process, signal.SIGKILL)


def test_both_nodes_work_and_what_they_do_not_see_is_sent_to_them(cluster, scans, alone, voxtrace, tmp_path):
    cases, out = write_list(scans, "sent", 4), tmp_path / "sent"
    with cases.open("a") as file:
        file.write('\n{"scan": "missing.nii.gz", "prompts": {"objects": []}, "out": "sent9.nii.gz"}')
    words = (cases, "-o", out, "--cluster", cluster.client, "--json", "--preview", "--send")
    text, err = ended(cluster.begins(*words), 3)
    results = json.loads(text)["results"]
    assert [row["status"] for row in results] == [*["done"] * 4, "failed"], err
    assert "missing.nii.gz" in results[-1]["error"]
    assert results[-1]["error_type"] == "InputError"
    assert len({row["node"].split()[2] for row in results}) == 2
    assert all(row["took_s"] >= row["seconds"] > 0 for row in results[:-1])
    assert results[0]["outputs"]["masks"] == [str(out / "sent0.nii.gz")]
    assert (out / "sent1.preview.png").stat().st_size > 1000
    assert masks(out) == {f"sent{n}.nii.gz": alone[n] for n in range(4)}
    assert sorted(path.name for path in out.iterdir())[:2] == ["batch.jsonl", "sent0.nii.gz"]
    # They are known again as the same work by a run that sends nothing.
    assert "4 skipped, 1 failed" in voxtrace("batch", cases, "-o", out).out


@pytest.fixture(scope="module")
def killed(cluster, scans, tmp_path_factory):
    """A run of 5 cases: case 1 takes every worker with it, case 3 the first."""
    cases, out = write_list(scans, "killed", 5), tmp_path_factory.mktemp("killed") / "killed"
    with Killer(cluster, out, {"killed1.nii.gz": 99, "killed3.nii.gz": 1}) as killer:
        driver = cluster.begins(cases, "-o", out, "--cluster", cluster.address, "--json", "--retries", "1")
        text, _ = ended(driver, 3)
    return json.loads(text), out, killer.killed


def test_a_case_whose_worker_was_killed_is_done_again_and_no_other(cluster, killed, alone):
    _, out, deaths = killed
    assert {name for name, _ in deaths} == {"killed1.nii.gz", "killed3.nii.gz"}
    begun = told(cluster, out, "begins")
    assert begun == {f"killed{n}.nii.gz": 2 if n in (1, 3) else 1 for n in range(5)}
    assert masks(out) == {f"killed{n}.nii.gz": alone[n] for n in range(5) if n != 1}
    assert set(done(out).values()) == {1}


def test_a_case_that_kills_its_workers_is_a_failed_one(killed):
    results = killed[0]["results"]
    assert [row["status"] for row in results] == ["done", "failed", *["done"] * 3]
    assert results[1]["error_type"] == "WorkerLost"
    assert "lost 2 times" in results[1]["error"]
    assert "process died" in results[1]["error"]


def test_a_killed_driver_loses_nothing_and_nothing_is_done_twice(cluster, scans, alone, tmp_path):
    cases, out = write_list(scans, "resumed", 4), tmp_path / "resumed"
    # Through ray://, for there the workers of a killed driver go on for half a minute.
    words = (cases, "-o", out, "--cluster", cluster.client, "--json")
    driver = cluster.begins(*words)
    wait_for(lambda: (out / "batch.jsonl").exists() and len(done(out)) >= 1, "a case")
    driver.kill()
    driver.communicate()
    first = done(out)
    assert len(first) < 4
    text, _ = ended(cluster.begins(*words))
    results = json.loads(text)["results"]
    assert {row["out"] for row in results if row["status"] == "skipped"} >= set(first)
    assert done(out) == {f"resumed{n}.nii.gz": 1 for n in range(4)}
    assert masks(out) == {f"resumed{n}.nii.gz": alone[n] for n in range(4)}
    assert set(told(cluster, out, "ends").values()) == {1}
    assert all(told(cluster, out, "begins")[name] == 1 for name in first)


def test_interrupted_workers_end_and_the_record_is_whole(cluster, scans, tmp_path):
    cases, out = write_list(scans, "stopped", 4), tmp_path / "stopped"
    driver = cluster.begins(cases, "-o", out, "--cluster", cluster.address)
    wait_for(lambda: (out / "batch.jsonl").exists() and len(done(out)) >= 1, "a case")
    driver.send_signal(signal.SIGINT)
    _, err = ended(driver, 130)
    assert "the same command goes on where it was" in err
    assert not any(alive(process) for _, _, process in cluster.log(out))
    assert set(done(out)) <= set(masks(out))
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]


def test_shares_that_no_node_has_are_told_at_once(cluster, scans, tmp_path):
    cases = write_list(scans, "large", 1)
    driver = cluster.begins(cases, "-o", tmp_path / "o", "--cluster", cluster.address, "--cpus-per-worker", 2)
    _, err = ended(driver, 2)
    assert "no machine of it has 2 CPU for a worker" in err


@pytest.mark.slow  # a second cluster beside the first
def test_a_gpu_that_this_machine_has_not_is_not_waited_for(scans, tmp_path):
    words = ("--cluster", "local", "--workers", 1, "--gpus-per-worker", 99)
    driver = begins(dict(os.environ), write_list(scans, "cards", 1), "-o", tmp_path / "o", *words)
    _, err = ended(driver, 2)
    assert "no machine of it has 1 CPU and 99 GPU for a worker" in err


def test_a_cluster_of_another_version_is_told_by_its_version(cluster, scans, tmp_path):
    import ray

    cases = write_list(scans, "older", 1)
    words = ["batch", str(cases), "-o", str(tmp_path / "o"), "--cluster", cluster.address]
    program = f"import ray; ray.__version__ = '2.1.0'; from voxtrace.cli import main; exit(main({words!r}))"
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "another version of Ray or Python" in ran.stderr
    assert "2.1.0" in ran.stderr
    assert ray.__version__ in ran.stderr


def test_a_cluster_that_goes_down_is_told_and_what_it_finished_is_kept(cluster, scans, voxtrace, tmp_path):
    """The last one: nothing is left of the cluster."""
    cases, out = write_list(scans, "gone", GONE), tmp_path / "gone"
    driver = cluster.begins(cases, "-o", out, "--cluster", cluster.address)
    wait_for(lambda: (out / "batch.jsonl").exists() and len(done(out)) >= 1, "a case")
    os.kill(cluster.head_process(), signal.SIGKILL)
    _, err = ended(driver, 2)
    assert f"the cluster {cluster.address} is gone; the same command goes on where it was" in err
    results = voxtrace("batch", cases, "-o", out, "--json").json["results"]
    assert {row["status"] for row in results} == {"done", "skipped"}
    assert done(out) == {f"gone{n}.nii.gz": 1 for n in range(GONE)}
