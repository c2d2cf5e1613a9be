"""The models known by name, from checkpoints.toml, and where their files lie. Needs no torch."""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from voxtrace.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Registered:
    """A model known by name.

    config: the net's name in voxtrace.model; "" where only the file tells. image_size: pixels a side at training.
    file: the name it is kept under. sha256: "" where nobody's record of it was found. size: bytes, 0 where unknown.
    zoom: window side / prompt side that it was trained to see; None leaves the config's own.
    embedded: the file is part of this installation.
    """

    name: str
    config: str
    image_size: int
    licence: str
    card: str
    url: str = ""
    file: str = ""
    sha256: str = ""
    size: int = 0
    aliases: tuple[str, ...] = ()
    zoom: float | None = None
    embedded: bool = False

    @property
    def path(self) -> Path:
        """Where its file lies, or would lie."""
        return _embedded(self.file) if self.embedded else home() / "weights" / self.file


def home() -> Path:
    """The folder of everything downloaded: VOXTRACE_HOME, or the user's cache folder."""
    chosen = os.environ.get("VOXTRACE_HOME")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("voxtrace", appauthor=False))


@lru_cache(maxsize=1)
def registry() -> dict[str, Registered]:
    """Every known model by its name, in the file's order."""
    text = resources.files("voxtrace").joinpath("checkpoints.toml").read_text(encoding="utf-8")
    return {name: _entry(name, fields) for name, fields in tomllib.loads(text).items()}


def lookup(name: str) -> Registered | None:
    """The model of this name or alias, or None. Case, `-`, `_` and spaces do not count."""
    return _by_plain_name().get(_plain(name))


def find(name: str) -> Registered:
    """The model of this name or alias. Raises ModelError naming the near ones."""
    found = lookup(name)
    if found is None:
        raise ModelError(f"no model is called {name!r}{_near(name)}; `voxtrace weights list` shows all")
    return found


def by_file(path: Path) -> Registered | None:
    """The model whose published file has this name, wherever it lies; None if there is none."""
    return next((model for model in registry().values() if model.file.lower() == path.name.lower()), None)


def with_config(config: str) -> list[Registered]:
    """Every known model that is this net, the one of the same name first."""
    models = [model for model in registry().values() if model.config == config]
    return sorted(models, key=lambda model: model.name != config)


def _entry(name: str, fields: dict) -> Registered:
    file = fields.pop("file", "") or Path(urlsplit(fields.get("url", "")).path).name
    return Registered(name=name, file=file, aliases=tuple(fields.pop("aliases", ())), **fields)


@lru_cache(maxsize=1)
def _by_plain_name() -> dict[str, Registered]:
    return {_plain(name): model for model in registry().values() for name in (model.name, *model.aliases)}


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-").replace(" ", "-")


def _near(name: str) -> str:
    names = [n for model in registry().values() for n in (model.name, *model.aliases)]
    plain = {_plain(n): n for n in reversed(names)}
    near = difflib.get_close_matches(_plain(name), plain, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(plain[n] for n in near)}?" if near else ""


def _embedded(file: str) -> Path:
    return Path(str(resources.files("voxtrace").joinpath("weights", file)))
