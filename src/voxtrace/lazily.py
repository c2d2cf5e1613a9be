"""Packages that most runs do not need, imported when something of them is first asked for.

A picture needs neither the DICOM nor the video package; together they are most of what a first mask would wait for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazily:
    """Stands for a module: `av = Lazily("av")`. For the type checker the module itself is imported beside it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
