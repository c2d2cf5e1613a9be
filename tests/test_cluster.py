"""Tasks spread over real processes: each is done once, what dies with a worker is taken up, nothing stays behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chores import Broken, Chore, Diary
from voxtrace.cluster import Finished, Lost, Processes, Share, spread
from voxtrace.cluster.address import address_of
from voxtrace.cluster.joining import folder_for_ray, room_for
from voxtrace.errors import ClusterError


def through(tasks, folder, workers=2, cpus=1, **options):
    with Processes(Diary(folder), Share(cpus), workers) as crew:
        return list(spread(iter(tasks), crew, workers, **options))


def test_every_task_is_done_once_by_several_workers(tmp_path):
    chores = [Chore("t0", beside="t1"), *(Chore(f"t{n}") for n in range(1, 8))]
    ends = through(chores, tmp_path, cpus=3)
    assert sorted(end.answer[0] for end in ends) == [f"t{n}" for n in range(8)]
    lines = [line for n in range(8) for line in Diary(tmp_path).begun(f"t{n}")]
    assert len(lines) == 8
    assert len({line.split()[0] for line in lines}) == 2
    assert {line.split()[1] for line in lines} == {"3"}  # threads by the worker's share
    assert "OMP_NUM_THREADS" not in os.environ or os.environ["OMP_NUM_THREADS"] != "3"


def test_a_task_whose_worker_died_is_done_by_another(tmp_path):
    ends = through([Chore("a"), Chore("b", deaths=1), Chore("c"), Chore("d")], tmp_path)
    assert all(isinstance(end, Finished) for end in ends)
    assert {name: len(Diary(tmp_path).begun(name)) for name in "abcd"} == {"a": 1, "b": 2, "c": 1, "d": 1}


def test_a_task_that_kills_every_worker_is_given_up_and_the_rest_is_done(tmp_path):
    ends = through([Chore("poison", deaths=99), *(Chore(name) for name in "abc")], tmp_path, retries=1)
    (lost,) = (end for end in ends if isinstance(end, Lost))
    assert (lost.task.name, lost.tries) == ("poison", 2)
    assert "SIGKILL" in lost.why
    assert sorted(end.answer[0] for end in ends if isinstance(end, Finished)) == ["a", "b", "c"]


def test_what_a_dead_worker_had_finished_is_not_done_again(tmp_path):
    ends = through([Chore("a", deaths=1)], tmp_path, 1, rescue=lambda task: ("rescued", 0))
    assert [end.answer for end in ends] == [("rescued", 0)]
    assert len(Diary(tmp_path).begun("a")) == 1


def test_an_error_that_work_does_not_answer_for_counts_as_a_loss(tmp_path):
    (lost,) = through([Chore("a", error="no such thing")], tmp_path, 1, retries=1)
    assert (lost.tries, lost.why) == (2, "ValueError: no such thing")


def test_a_worker_that_asks_for_more_gets_it_at_once(tmp_path):
    def more(task, answer):
        return Chore("second") if task.name == "first" else None

    (end,) = through([Chore("first")], tmp_path, 1, more=more)
    assert end.answer[0] == "second"
    assert Diary(tmp_path).begun("first") == Diary(tmp_path).begun("second")


def test_tasks_are_read_no_further_than_workers_are_free(tmp_path):
    read = []

    def tasks():
        for n in range(6):
            read.append(n)
            yield Chore(f"t{n}")

    ahead = []
    with Processes(Diary(tmp_path), Share(), 2) as crew:
        for done, _ in enumerate(spread(tasks(), crew, 2), start=1):
            ahead.append(len(read) - done)
    assert max(ahead) <= 2


def test_workers_that_cannot_start_end_the_run(tmp_path):
    with Processes(Broken(), Share(), 1) as crew, pytest.raises(ClusterError, match=r"died as they started.*code 7"):
        list(spread([Chore("a")], crew, 1))


def test_leaving_a_crew_ends_its_workers_in_the_middle_of_their_tasks(tmp_path):
    crew = Processes(Diary(tmp_path), Share(), 1)
    with crew:
        steps = spread(iter([Chore("quick"), Chore("long", seconds=60)]), crew, 1)
        next(steps)
        steps.close()
        worker = int(Diary(tmp_path).begun("quick")[0].split()[0])
    assert not Path(f"/proc/{worker}").exists()


def test_workers_end_with_a_driver_that_was_killed(tmp_path):
    program = (
        "from pathlib import Path; from chores import Chore, Diary; from voxtrace.cluster import *\n"
        "if __name__ == '__main__':\n"
        f"    with Processes(Diary(Path({str(tmp_path)!r})), Share(), 1) as crew:\n"
        "        list(spread([Chore('long', seconds=60)], crew, 1))\n"
    )
    (tmp_path / "driver.py").write_text(program)
    tests = str(Path(__file__).parent)
    driver = subprocess.Popen([sys.executable, tmp_path / "driver.py"], env=os.environ | {"PYTHONPATH": tests})
    until = time.monotonic() + 30
    while not (tmp_path / "long").exists() or not Diary(tmp_path).begun("long"):
        assert time.monotonic() < until
        time.sleep(0.02)
    worker = int(Diary(tmp_path).begun("long")[0].split()[0])
    driver.kill()
    driver.wait()
    while alive(worker):
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(process: int) -> bool:
    """Whether it runs; one that waits to be fetched by nobody does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("text", ["", "host", "http://host:1", "ray://host", "host:0", "host:70000", "ray://:10001"])
def test_addresses_that_are_none(text):
    with pytest.raises(ClusterError, match="write local, HOST:PORT"):
        address_of(text)


@pytest.mark.parametrize(
    ("share", "room"),
    [(Share(1), 12), (Share(3), 3), (Share(16), 0), (Share(1, 1), 3), (Share(1, 0.4), 6), (Share(1, 2), 1)],
)
def test_room_is_counted_machine_by_machine(share, room):
    class Nodes:
        """As ray.nodes() tells of them."""

        @staticmethod
        def nodes():
            return [
                {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 3.0}},
                {"Alive": True, "Resources": {"CPU": 4.0}},
                {"Alive": False, "Resources": {"CPU": 64.0}},
            ]

    assert room_for(Nodes, share) == room


def test_the_folder_of_a_killed_program_is_removed_by_the_next_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = [tmp_path / f"voxtrace-ray-{os.getpid()}-a", tmp_path / "voxtrace-ray-mine-a", tmp_path / "other"]
    for folder in (tmp_path / f"voxtrace-ray-{ended.pid}-a", *kept):
        folder.mkdir()
    new = Path(folder_for_ray())
    assert new.is_dir()
    assert {path for path in tmp_path.iterdir() if path != new} == set(kept)
    new.rmdir()


def test_a_deep_folder_for_temporary_files_is_no_place_for_sockets(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 50)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    folder = folder_for_ray()
    assert len(folder) <= 46
    os.rmdir(folder)
