"""Text and JSON written as a whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from voxtrace.errors import OutputError


def write_json(path: Path, content: Any) -> None:
    """Write JSON. Raises OutputError."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; the file is there as a whole or as it was. Raises OutputError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from None
