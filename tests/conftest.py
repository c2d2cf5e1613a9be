"""Which files and tests are asked for, and what many of them need."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from command_line import CommandLine

# No test, nor a process that one starts, writes to the caches of the user. What a run keeps on disk to save time must
# not save it for the next one: that would hide what was broken in between.
KEPT = tempfile.TemporaryDirectory(prefix="voxtrace-tests-")
os.environ["VOXTRACE_CACHE"] = KEPT.name


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file whose tests all need torch is not even imported where they are not asked for: that alone takes seconds."""
    if collection_path.suffix != ".py" or "not torch" not in config.getoption("markexpr"):
        return None
    lines = collection_path.read_text(encoding="utf-8").splitlines()
    return any(line.startswith("pytestmark") and "mark.torch" in line for line in lines) or None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that read labelled cases are real ones."""
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.real)


@pytest.fixture
def voxtrace(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> "CommandLine":
    """The command line, called as a shell does; its engine is without a net."""
    # Imported at need, here and below: a run of one small file should not wait for the command line, nor for torch.
    from command_line import CommandLine

    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """The CT phantom, tmp_path/ct.nii.gz."""
    from command_line import write_scan

    return write_scan(tmp_path / "ct.nii.gz")


@pytest.fixture
def fails(voxtrace: "CommandLine", tmp_path: Path) -> Callable[..., str]:
    """Call with words; checks that it failed as a mistake does and wrote nothing, and returns the message."""

    def call(*words: object) -> str:
        before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
        ran = voxtrace(*words)
        assert ran.code == 2, ran.err
        assert "Traceback" not in ran.err
        assert ran.out == ""
        assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") <= 3
        return ran.err

    return call


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """The manifest of two pictures, a volume and a video, in tmp_path/data."""
    from labelled import write_cases

    return write_cases(tmp_path / "data")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For nets and maps so small that threads cost more than they bring."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real labelled cases; tests that need it skip, with the reason, where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("VOXTRACE_DATA", default))
    if not (root / "manifest.jsonl").is_file():
        pytest.skip(f"no labelled cases at {root} (set VOXTRACE_DATA)")
    return root
