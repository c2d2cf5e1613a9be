"""The sandbox holds: real programs that misbehave run in it, and neither escape nor stop the one who runs them."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from challenge_kit import CASE, SANDBOXES, SMALL, attempt, working
from voxtrace.bench.challenge.limits import parse_limits
from voxtrace.bench.challenge.sandbox import cgroups

# One after the other: each watches the machine's processes, memory groups and disk.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("sandbox")]

MB = 2**20
MARK = f"86399.{os.getpid()}"  # seconds to sleep, which no other process on the machine has in its command
BRIEF = parse_limits("memory=256M,cpus=1,seconds=1,disk=16M,processes=24")


@pytest.fixture(params=SANDBOXES)
def sandbox(request):
    """Each sandbox that works here: for what it keeps in."""
    return working(SANDBOXES[request.param]())


@pytest.fixture
def own():
    """The one of our own: for what all do by the same code."""
    return working(SANDBOXES["namespaces"]())


def living(mark: str) -> list[str]:
    """Command lines on this machine that hold `mark`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in text:
            found.append(text)
    return found


def test_a_good_program_reads_its_case_and_its_output_is_delivered(sandbox, tmp_path):
    tried = attempt(sandbox, tmp_path, 'ls inputs; cp "$1"/* /tmp; cp answer.npz "$2"/' + CASE + "; echo done >&2")
    assert (tried.outcome.exit_code, tried.outcome.stopped, tried.outcome.missing) == (0, "", "")
    assert tried.output == (tmp_path / "submission" / "answer.npz").read_bytes()
    assert tried.printed.split() == [CASE, "done"]


def test_the_time_is_that_of_the_whole_program(own, tmp_path):
    tried = attempt(own, tmp_path, "sleep 0.4", parse_limits("seconds=31536000"))
    assert 0.4 <= tried.outcome.seconds < 3


def test_memory_is_the_largest_of_all_processes_together(own, tmp_path):
    """Two processes of 60 MB each, which wait for one another: more than either."""
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "meet.py").write_text(
        "import os, sys, time\nx = bytearray(60 << 20)\nopen('/tmp/' + sys.argv[1], 'w')\n"
        "while len(os.listdir('/tmp')) < 2: time.sleep(0.01)\ntime.sleep(0.2)"
    )
    tried = attempt(own, tmp_path, "python3 meet.py a & python3 meet.py b; wait")
    assert tried.outcome.peak_memory is not None
    assert 120 * MB < tried.outcome.peak_memory < 200 * MB


def test_its_exit_code_and_signal_are_told(own, tmp_path):
    assert attempt(own, tmp_path, "exit 7").outcome.exit_code == 7
    assert attempt(own, tmp_path, "kill -SEGV $$").outcome.exit_code == -11


def test_one_that_ignores_sigterm_is_killed_at_the_limit_with_its_children(sandbox, tmp_path):
    program = f"trap '' TERM INT HUP\nsetsid sleep {MARK} &\nwhile true; do sleep {MARK}; done"
    tried = attempt(sandbox, tmp_path, program, BRIEF)
    assert tried.outcome.stopped == "seconds"
    assert 1 <= tried.outcome.seconds < 5
    assert not living(MARK)


def test_what_it_leaves_running_ends_with_it(own, tmp_path):
    tried = attempt(own, tmp_path, f"setsid sleep {MARK} &\nexit 0")
    assert (tried.outcome.exit_code, tried.outcome.stopped) == (0, "")
    assert tried.outcome.seconds < 5
    assert not living(MARK)


@pytest.mark.parametrize(
    "bomb",
    [
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "import os\nfor _ in range(4): os.fork()\nwhile True:\n    if not os.fork(): os._exit(0)\n    os.wait()",
    ],
    ids=["as many as there may be", "born and gone"],
)
def test_a_fork_bomb_ends_in_time(sandbox, tmp_path, bomb):
    """Whoever forks all the time can hardly be looked at: that must not keep the clock."""
    tried = attempt(sandbox, tmp_path, f"exec python3 -c '{bomb}' {MARK}", replace(BRIEF, processes=64))
    assert tried.outcome.stopped == "seconds"
    assert tried.outcome.seconds < BRIEF.seconds + 3
    assert not living(MARK)


def test_processes_are_bounded(sandbox, tmp_path):
    """Those that are there wait, so that they can be counted whatever else this machine does."""
    bomb = "import os, time\nwhile True:\n    try: os.fork() or time.sleep(9)\n    except OSError: time.sleep(0.01)"
    most = attempt(sandbox, tmp_path, f"exec python3 -c '{bomb}'", BRIEF).outcome.most_threads
    assert BRIEF.processes <= most <= BRIEF.processes + 8  # 8: of the control group, for those that watch


def test_memory_beyond_the_limit_ends_it(sandbox, tmp_path):
    tried = attempt(sandbox, tmp_path, "exec python3 -c 'x = []\nwhile True: x.append(bytearray(4 << 20))'")
    assert tried.outcome.stopped == "memory"
    assert tried.outcome.peak_memory < 2 * SMALL.memory


def test_memory_of_several_processes_counts_together(own, tmp_path):
    one = "python3 -c 'import time; x = bytearray(100 << 20); time.sleep(20)'"
    assert attempt(own, tmp_path, f"{one} & {one} & {one} & wait").outcome.stopped == "memory"


def test_memory_that_no_process_has_mapped_counts_too(sandbox, tmp_path):
    hoard = "import os\nk = []\nwhile True:\n    k.append(os.memfd_create(str()))\n    os.write(k[-1], bytes(4 << 20))"
    assert attempt(sandbox, tmp_path, f"exec python3 -c '{hoard}'").outcome.stopped == "memory"


def test_memory_is_watched_where_no_control_group_can_be_made(own, tmp_path, monkeypatch):
    monkeypatch.setattr(cgroups, "_parents", lambda total, most: [])
    hoard = "import os\nk = []\nwhile True:\n    k.append(os.memfd_create(str()))\n    os.write(k[-1], bytes(4 << 20))"
    for program in (hoard, "x = []\nwhile True: x.append(bytearray(4 << 20))"):
        tried = attempt(own, tmp_path, f"exec python3 -c '{program}'")
        assert tried.outcome.stopped == "memory"
        assert tried.outcome.peak_memory < 2 * SMALL.memory


@pytest.mark.parametrize("place", ["/workspace/outputs/junk", "/tmp/junk", "/dev/shm/junk"])
def test_no_more_can_be_written_than_is_allowed(sandbox, tmp_path, place):
    free = os.statvfs(tmp_path).f_bavail
    tried = attempt(sandbox, tmp_path, f"cat /dev/zero >> {place} & wait; cat /dev/zero >> {place}2")
    assert tried.outcome.full
    assert abs(os.statvfs(tmp_path).f_bavail - free) * os.statvfs(tmp_path).f_frsize < 512 * MB


def test_many_small_files_fill_it_too(own, tmp_path):
    program = "exec python3 -c 'import os\nfor n in range(10**6): os.mkdir(f\"/tmp/{n}\")'"
    assert attempt(own, tmp_path, program).outcome.full


def test_endless_printing_fills_nothing_but_its_own_room(own, tmp_path):
    tried = attempt(own, tmp_path, "yes wwwwwwwwwwwwwwwwwwwwwwwwwwwwwww")
    assert tried.outcome.full
    assert len(tried.printed) <= 65536


def test_it_reaches_no_network_not_even_this_machine(sandbox, tmp_path):
    name = f"\0voxtrace-{os.getpid()}"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(name)
        for server in (tcp, unix):
            server.listen()
            server.settimeout(0.1)
        port = tcp.getsockname()[1]
        program = f"""exec python3 - <<'END'
import socket
for family, place in ((socket.AF_INET, ("127.0.0.1", {port})), (socket.AF_INET, ("192.0.2.1", 80)),
                      (socket.AF_UNIX, {name!r})):
    try:
        socket.socket(family).connect(place)
        print("reached", place)
    except OSError as error:
        print("no", error)
END"""
        tried = attempt(sandbox, tmp_path, program)
        assert tried.printed.count("no [") == 3, tried.printed
        assert "reached" not in tried.printed
        for server in (tcp, unix):
            with pytest.raises(TimeoutError):
                server.accept()


def test_it_writes_nowhere_else(sandbox, tmp_path):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    allowed.chmod(0o777)
    (allowed / "file").write_text("as it was.\n")
    (allowed / "file").chmod(0o666)
    program = f"""
for place in / /usr /etc /dev /proc /workspace /workspace/inputs /root {allowed}; do
    (echo x > "$place/escaped") 2>/dev/null && echo "wrote $place"
done
(echo x > {allowed}/file) 2>/dev/null && echo "changed"
rm -rf predict inputs/* {allowed} 2>/dev/null; chmod 777 predict {allowed}/file 2>/dev/null
cat {allowed}/file
(echo x >> predict) 2>/dev/null && echo "changed itself"
mount -o remount,rw / 2>/dev/null && echo "mounted"
unshare -Ur true 2>/dev/null && echo "new rights"
echo end"""
    tried = attempt(sandbox, tmp_path, program, allow=(allowed,))
    assert tried.printed.split() == ["as", "it", "was.", "end"]
    assert (allowed / "file").read_text() == "as it was.\n"
    assert sorted(path.name for path in allowed.iterdir()) == ["file"]
    assert (tmp_path / "inputs" / CASE).exists()
    assert not Path("/usr/escaped").exists()


def test_it_sees_neither_other_cases_nor_home_nor_our_environment(sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTRACE_SECRET", "do not tell")
    (tmp_path / "secret.npz").write_text("do not tell")
    program = f"""
cat {tmp_path}/secret.npz {Path(__file__)} 2>/dev/null
env | grep SECRET
ls -a {Path.home()} 2>/dev/null | grep -v -E '^[.]+$|pyenv'
for one in /proc/[0-9]*; do tr '\\0' '\\n' < $one/environ | grep SECRET; ls $one/root{tmp_path}; done 2>/dev/null
ls inputs
ps ax 2>/dev/null | grep -c pytest"""
    printed = attempt(sandbox, tmp_path, program).printed
    assert "do not tell" not in printed
    assert printed.split()[0] == CASE
    assert printed.split()[1:] in ([], ["0"], ["1"])  # 1: the grep itself; no ps, nothing


@pytest.mark.parametrize(
    "trick",
    ["ln -s /etc/passwd", "ln -s /proc/1/environ", "mkfifo", "mkdir", "ln -s /dev/zero"],
)
def test_an_output_that_is_no_plain_file_is_not_taken(sandbox, tmp_path, trick):
    tried = attempt(sandbox, tmp_path, f"{trick} outputs/{CASE}")
    assert tried.outcome.missing.startswith("not a plain file")
    assert tried.output == b""


def test_a_command_that_cannot_start_is_the_submissions_fault(own, tmp_path):
    tried = attempt(own, tmp_path, "true")
    assert not tried.outcome.not_started
    script = tmp_path / "submission" / "predict"
    for content, mode in (("#!/no/such/program\n", 0o755), ("#!/bin/sh\n", 0o644), ("\x7fELF", 0o755)):
        script.write_text(content)
        script.chmod(mode)
        outcome = own.run(_order(tmp_path))
        assert outcome.not_started
        assert not outcome.problem


def test_processors_are_as_many_as_allowed(own, tmp_path):
    assert attempt(own, tmp_path, "nproc").printed.split() == ["1"]


def test_processor_time_is_bounded_by_all_that_it_may_use(own, tmp_path):
    everything = parse_limits("memory=256M,seconds=100")
    assert attempt(own, tmp_path, "ulimit -t", everything).printed.split() == [str(100 * (os.cpu_count() or 1) + 5)]
    assert attempt(own, tmp_path, "ulimit -t", SMALL).printed.split() == ["25"]


def test_groups_are_removed(own, tmp_path):
    if not any(cgroups.available().values()):
        pytest.skip("no control group can be made here")
    attempt(own, tmp_path, "true")
    assert not list(Path("/sys/fs/cgroup").rglob(f"voxtrace-{os.getpid()}-*"))


def test_the_one_who_runs_it_may_be_killed_and_nothing_goes_on(own, tmp_path):
    """The launcher dies with the runner, the sandbox with the launcher."""
    attempt(own, tmp_path, "true")
    (tmp_path / "submission" / "predict").write_text(f"#!/bin/sh\nexec sleep {MARK}\n")
    runner = os.fork()
    if runner == 0:
        try:
            own.run(_order(tmp_path))
        finally:
            os._exit(0)
    _wait_until(lambda: living(MARK))
    os.kill(runner, 9)
    os.waitpid(runner, 0)
    _wait_until(lambda: not living(MARK))

    def cleared_by_the_next_run() -> bool:
        attempt(own, tmp_path, "true")
        return not list(Path("/sys/fs/cgroup").rglob(f"voxtrace-{runner}-*"))

    _wait_until(cleared_by_the_next_run)


def _order(folder: Path):
    from voxtrace.bench.challenge.sandbox.order import Order
    from voxtrace.bench.challenge.submission import read_submission

    submission = read_submission(str(folder / "submission"))
    return Order(submission, folder / "inputs", CASE, folder / "target", folder / "log", SMALL)


def _wait_until(true) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)
