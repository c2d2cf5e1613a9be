"""Limits as text, limits without a sandbox, and images that a container engine runs."""

import os
import struct
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from challenge_kit import CASE, SMALL, attempt, block, write_case
from voxtrace.bench.challenge.judging import judge
from voxtrace.bench.challenge.limits import Limits, parse_limits
from voxtrace.bench.challenge.sandbox import namespaces
from voxtrace.bench.challenge.sandbox.bare import Limited
from voxtrace.bench.challenge.sandbox.bubblewrap import Bubblewrap
from voxtrace.bench.challenge.sandbox.choice import choose
from voxtrace.bench.challenge.sandbox.container import Container, image_hash, run_command
from voxtrace.bench.challenge.sandbox.jail import child
from voxtrace.bench.challenge.sandbox.order import Order, Outcome
from voxtrace.bench.challenge.submission import Submission, read_submission
from voxtrace.errors import SandboxError

# One after the other: each watches the machine's processes, memory groups and disk.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("sandbox")]

MARK = f"86398.{os.getpid()}"  # seconds to sleep, which no other process on the machine has in its command


@pytest.fixture
def bare():
    sandbox = Limited()
    if reason := sandbox.why_not():
        pytest.skip(reason)
    return sandbox


def test_limits_are_read_with_units():
    assert parse_limits("memory=8G, cpus=2,seconds=0.5,disk=512m") == Limits(8 * 2**30, 2, 0.5, 512 * 2**20)
    assert parse_limits("memory=1.5G").memory == 1.5 * 2**30
    assert parse_limits("") == Limits()
    assert parse_limits("cpus=1", Limits(cpus=3, seconds=7)) == Limits(cpus=1, seconds=7)


@pytest.mark.parametrize(
    ("size", "words"),
    [(700 << 20, "700 MB"), (8 << 30, "8 GB"), (1536 << 20, "1536 MB"), (1000, "1000 bytes"), (10 * 2**10, "10 KB")],
)
def test_a_limit_that_was_reached_is_told_as_limits_are_written(tmp_path, size, words):
    killed = Outcome(exit_code=-9, seconds=1.0, stopped="memory")
    assert judge(killed, tmp_path / "none", (1,), Limits(memory=size))[:2] == (
        "memory",
        f"killed at the limit of {words}",
    )
    full = Outcome(exit_code=1, seconds=1.0, missing="missing", full=True)
    assert judge(full, tmp_path / "none", (1,), Limits(disk=size))[1].startswith(f"all {words} it may write were used")


def test_limits_alone_run_a_good_program_with_its_own_folders(bare, tmp_path):
    tried = attempt(bare, tmp_path, 'ls inputs; cp answer.npz "$2"/' + CASE + "; echo $HOME")
    assert (tried.outcome.exit_code, tried.outcome.missing) == (0, "")
    assert tried.output == (tmp_path / "submission" / "answer.npz").read_bytes()
    case, home = tried.printed.split()
    assert case == CASE
    assert not Path(home).exists(), "its folders are removed"


@pytest.mark.parametrize(
    ("program", "stopped"),
    [
        (f"trap '' TERM; setsid sleep {MARK} & while true; do sleep {MARK}; done", "seconds"),
        ("exec python3 -c 'x = []\nwhile True: x.append(bytearray(4 << 20))'", "memory"),
        ("n=0; while true; do n=$((n+1)); cat /dev/zero > outputs/$n; done", "disk"),
    ],
    ids=["clock", "memory", "disk"],  # the programs hold this process's number: workers would not agree on their names
)
def test_limits_alone_still_hold(bare, tmp_path, program, stopped):
    limits = parse_limits("memory=256M,cpus=1,seconds=2,disk=16M")
    outcome = attempt(bare, tmp_path, program, limits).outcome
    assert outcome.stopped == stopped, outcome
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [command for command in commands if MARK.encode() in command]


@pytest.mark.parametrize(
    ("program", "stopped"),
    [
        ("sleep 0.1; for n in 1 2 3; do head -c 8000000 /dev/zero > outputs/$n; done", "disk"),
        ("exec cat /dev/zero > outputs/all", ""),
    ],
    ids=["ends between two looks", "stops at the limit itself"],
)
def test_what_is_written_last_counts_too(bare, tmp_path, program, stopped):
    outcome = attempt(bare, tmp_path, program).outcome
    assert (outcome.stopped, outcome.full, outcome.problem) == (stopped, True, "")


def test_the_time_that_a_program_tells_is_not_taken_for_its_wish_to_change_user(tmp_path, monkeypatch):
    """One clock in 256 begins with the byte that asks for another user, which nobody gets where no user is changed."""
    (began,) = struct.unpack("d", b"u" + struct.pack("d", time.monotonic())[1:])
    monkeypatch.setattr(child.time, "monotonic", lambda: began)
    order = {"command": ["true"], "folder": str(tmp_path), "environment": {"PATH": os.defpath}, "owner": None}
    with (tmp_path / "printed").open("wb") as printed:
        pid, told = child.start(order | {"limits": asdict(SMALL) | {"cpus": []}}, printed.fileno())
    assert (os.waitpid(pid, 0)[1], told) == (0, began)


def test_no_submission_runs_in_the_open_unless_told_to(tmp_path, monkeypatch):
    monkeypatch.setattr(namespaces, "_why_not", lambda: "not on this machine")
    monkeypatch.setattr(Bubblewrap, "why_not", lambda self: "not installed")
    submission = Submission("one", ("true",), tmp_path)
    with pytest.raises(
        SandboxError, match=r"namespaces: not on this machine; bubblewrap: not installed.*--sandbox limits"
    ):
        choose(submission)
    assert choose(submission, "limits").name == "limits"


def engine(folder: Path, name: str, program: str) -> None:
    """A program that stands in for a container engine, where there is none: it is called as the engine would be."""
    (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{program}\n')
    (folder / name).chmod(0o755)


@pytest.fixture
def with_engine(tmp_path, monkeypatch):
    """PATH begins with a folder for stand-ins; returns it."""
    folder = tmp_path / "engines"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def order(tmp_path, limits=SMALL) -> Order:
    write_case(tmp_path / "inputs")
    return Order(read_submission("team:latest"), tmp_path / "inputs", CASE, tmp_path / "out", tmp_path / "log", limits)


def test_an_image_is_run_as_the_challenge_ran_it(tmp_path):
    words = run_command("docker", order(tmp_path), tmp_path / "outputs", "one")
    text = " ".join(words)
    assert words[:4] == ["docker", "container", "run", "--rm"]
    assert words[-4:] == ["team:latest", "/bin/bash", "-c", "sh predict.sh"]
    assert f"--volume {tmp_path}/inputs:/workspace/inputs:ro --volume {tmp_path}/outputs:/workspace/outputs" in text
    assert f"--network none --memory {SMALL.memory} --memory-swap {SMALL.memory} --pids-limit 24" in text
    assert text.count("--cpuset-cpus") == 1


def test_an_engine_that_answers_runs_the_image(tmp_path, with_engine):
    np.savez(tmp_path / "answer.npz", segs=block())
    find = 'for word in "$@"; do case $word in *:/workspace/outputs) out=${word%%:*};; esac; done'
    engine(with_engine, "docker", f'echo loading; {find}; [ -z "$out" ] || cp {tmp_path}/answer.npz $out/{CASE}')
    sandbox = choose(read_submission("team:latest"))
    assert sandbox.name == "docker"
    outcome = sandbox.run(order(tmp_path))
    assert (outcome.exit_code, outcome.stopped, outcome.missing) == (0, "", "")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "answer.npz").read_bytes()
    assert (tmp_path / "log").read_text() == "loading\n"


@pytest.mark.parametrize(
    ("program", "stopped"),
    [
        ("sleep 86394.5", "seconds"),
        ("n=0; while true; do n=$((n+1)); head -c 4000000 /dev/zero > $out/$n; sleep 0.01; done", "disk"),
        ("exit 137", "memory"),
    ],
)
def test_an_image_is_killed_by_its_engine_at_a_limit(tmp_path, with_engine, program, stopped):
    find = 'for word in "$@"; do case $word in *:/workspace/outputs) out=${word%%:*};; esac; done'
    engine(with_engine, "podman", f'{find}; [ "$1" = container ] || exit 0; {program}')
    limits = parse_limits("memory=256M,cpus=1,seconds=1,disk=16M")
    outcome = Container("podman").run(order(tmp_path, limits))
    assert outcome.stopped == stopped
    kills = [line for line in (with_engine / "calls").read_text().splitlines() if line.startswith("kill voxtrace-")]
    assert len(kills) == (stopped != "memory")


def test_an_image_is_known_by_its_hash_and_must_be_there(with_engine):
    engine(with_engine, "docker", '[ "$*" = "image inspect --format {{.Id}} team:latest" ] && echo sha256:12ab')
    assert image_hash("docker", "team:latest") == "sha256:12ab"
    with pytest.raises(SandboxError, match="docker pull team:older"):
        image_hash("docker", "team:older")


def test_an_engine_that_does_not_work_is_named_with_its_reason(with_engine):
    engine(with_engine, "docker", "echo 'the daemon is not running' >&2; exit 1")
    engine(with_engine, "podman", "echo 'no such storage' >&2; exit 125")
    with pytest.raises(
        SandboxError, match=r"docker: `docker info` fails: the daemon is not running; podman: .*no such storage"
    ):
        choose(read_submission("team:latest"))
