"""Model names and weights files: find, download, read safely, tell apart, load, save.

    registered  what is known by name (checkpoints.toml)      reader  a file's tensors; no pickle's code ever runs
    download    fetch it, checked by hash                     hugging_face  transformers' names -> official ones
    locate      name or file -> file, net, image size         nets, loading, saving  torch: build, load strictly, write
    sniff       tensors -> net                                report  what `voxtrace weights` shows

Importing this needs no torch; `load`, `save` and `MismatchError` import it when they are first asked for, as what
downloads and reports is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxtrace.checkpoints.locate import Located, resolve
from voxtrace.checkpoints.registered import Registered, find, home, lookup, registry

if TYPE_CHECKING:
    from voxtrace.checkpoints.download import hash_note, pull
    from voxtrace.checkpoints.loading import MismatchError, load
    from voxtrace.checkpoints.report import Report, Row, check, list_rows
    from voxtrace.checkpoints.saving import save

__all__ = [
    "Located",
    "MismatchError",
    "Registered",
    "Report",
    "Row",
    "check",
    "find",
    "hash_note",
    "home",
    "list_rows",
    "load",
    "lookup",
    "pull",
    "registry",
    "resolve",
    "save",
]

_LATER = {
    **{"load": "loading", "MismatchError": "loading", "save": "saving"},
    **{"hash_note": "download", "pull": "download"},
    **{"Report": "report", "Row": "report", "check": "report", "list_rows": "report"},
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
