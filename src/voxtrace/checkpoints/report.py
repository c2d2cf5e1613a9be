"""What `voxtrace weights list` and `check` tell, as plain values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

from voxtrace.checkpoints.locate import Located, resolve
from voxtrace.checkpoints.reader import read_header
from voxtrace.checkpoints.registered import registry
from voxtrace.errors import CheckpointError, MissingDependencyError, ModelError
from voxtrace.hashing import sha256_of

SHIPPED_WITH = ("card", "licence", "data_sha256")


@dataclass(frozen=True, slots=True)
class Row:
    """A registered model. size: bytes, 0 where unknown. installed: its file, or None. note: what is unknown of it."""

    name: str
    config: str
    image_size: int
    licence: str
    size: int
    installed: Path | None
    sha256: str
    url: str
    card: str
    aliases: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Report:
    """A weights file looked at.

    family: the net's name. keys, parameters: tensors and numbers in them (buffers included). dtypes: {dtype: tensors}.
    naming: "official" or "Hugging Face". wrapper: what surrounded the state dict, "" for nothing. published_as: the
    registered model with this very hash, or None. note: what is ambiguous. loads: whether a strict load works, None
    where torch is missing; problem: why not, with every name. lacks: metadata that an own file needs to be shipped.
    """

    path: Path
    family: str
    image_size: int
    keys: int
    parameters: int
    dtypes: dict[str, int]
    naming: str
    wrapper: str
    sha256: str
    published_as: str | None
    note: str
    loads: bool | None
    problem: str
    lacks: tuple[str, ...]


def list_rows() -> list[Row]:
    """Every registered model, in the registry's order."""
    return [
        Row(
            name=model.name,
            config=model.config or "told by the file",
            image_size=model.image_size,
            licence=model.licence,
            size=model.size,
            installed=model.path if model.path.is_file() else None,
            sha256=model.sha256,
            url=model.url,
            card=model.card,
            aliases=model.aliases,
            note="" if model.sha256 or model.embedded else "hash unknown: recorded at the first pull",
        )
        for model in registry().values()
    ]


def check(name_or_path: str | Path, image_size: int | None = None) -> Report:
    """Look at a file: what it is, what is ambiguous, whether it loads. Raises as `resolve` does."""
    located = resolve(name_or_path, image_size)
    header = read_header(located.path)
    digest = sha256_of(located.path)
    loads, problem = _strict(located)
    own = bool(located.own_config)
    return Report(
        path=located.path,
        family=located.config,
        image_size=located.image_size,
        keys=len(header.shapes),
        parameters=sum(prod(shape) for shape in header.shapes.values()),
        dtypes=dict(Counter(header.dtypes.values())),
        naming=header.naming,
        wrapper=header.wrapper,
        sha256=digest,
        published_as=next((model.name for model in registry().values() if model.sha256 == digest), None),
        note=located.note,
        loads=loads,
        problem=problem,
        lacks=tuple(key for key in SHIPPED_WITH if own and not header.metadata.get(key)),
    )


def _strict(located: Located) -> tuple[bool | None, str]:
    try:
        from voxtrace.checkpoints.loading import MismatchError, load
    except ImportError:
        return None, str(MissingDependencyError("torch", "torch", "trying a strict load"))
    try:
        load(located)
    except MismatchError as error:
        return False, f"{error}\n{error.listing()}"
    except (CheckpointError, ModelError) as error:
        return False, str(error)
    return True, ""
