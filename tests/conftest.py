"""Shared fixtures: where the labelled cases are, and a small asymmetric volume."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real labelled cases; tests that need it skip, with the reason, where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("VOXTRACE_DATA", default))
    if not (root / "manifest.jsonl").is_file():
        pytest.skip(f"no labelled cases at {root} (set VOXTRACE_DATA)")
    return root
