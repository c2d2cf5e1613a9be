"""Which files and tests are asked for; where the labelled cases are."""

import os
from pathlib import Path

import pytest

TORCH = "pytestmark = pytest.mark.torch"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file whose tests all need torch is not even imported where they are not asked for: that alone takes seconds."""
    if collection_path.suffix != ".py" or "not torch" not in config.getoption("markexpr"):
        return None
    return TORCH in collection_path.read_text(encoding="utf-8").splitlines() or None


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that read labelled cases are real ones."""
    for item in items:
        if item.get_closest_marker("data"):
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real labelled cases; tests that need it skip, with the reason, where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("VOXTRACE_DATA", default))
    if not (root / "manifest.jsonl").is_file():
        pytest.skip(f"no labelled cases at {root} (set VOXTRACE_DATA)")
    return root
