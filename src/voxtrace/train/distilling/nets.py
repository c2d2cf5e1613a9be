"""Teacher and student, each by name or file, and what a person should know of the pair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from voxtrace import checkpoints
from voxtrace.checkpoints.nets import KNOWN, NetConfig, build, from_json, resized, to_json
from voxtrace.checkpoints.reader import read_header
from voxtrace.checkpoints.registered import by_file, lookup
from voxtrace.errors import InputError, ModelError
from voxtrace.hashing import sha256_of


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A frozen net in eval mode. sha256: of its file. licence: "" where nobody said."""

    net: nn.Module
    name: str
    sha256: str
    licence: str
    note: str = ""

    @property
    def config(self) -> NetConfig:
        """Its numbers."""
        return config_of(self.net)

    @property
    def identity(self) -> str:
        """What its embeddings depend on: weights, config with image size."""
        return f"{self.sha256} {to_json(self.config)}"


def config_of(net: nn.Module) -> NetConfig:
    """The config that a Sam2 or Sam1 net was built from."""
    config: NetConfig = net.config  # type: ignore[assignment]
    return config


def open_teacher(name_or_path: str, image_size: int | None = None) -> Teacher:
    """A registered model or a weights file. Raises ModelError for an unknown name, CheckpointError for a bad file."""
    located = checkpoints.resolve(name_or_path, image_size)
    net = checkpoints.load(located)
    for weight in net.parameters():
        weight.requires_grad_(False)
    registered = lookup(name_or_path) or by_file(located.path)
    own = read_header(located.path).metadata.get("licence", "")
    licence = own or (registered.licence if registered else "")
    return Teacher(net.eval(), located.name, sha256_of(located.path), licence, located.note)


def open_student(name_or_path: str, image_size: int | None, seed: int) -> nn.Module:
    """A net with random weights by its config's name or a config file (.json), or with the weights of a file.

    Raises ModelError for an unknown name or an image size that does not suit, CheckpointError for a bad file.
    """
    path = Path(name_or_path).expanduser()
    if name_or_path in KNOWN or path.suffix.lower() == ".json":
        config = KNOWN[name_or_path] if name_or_path in KNOWN else _config_file(path)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build(resized(config, image_size))
    if path.exists() or lookup(name_or_path):
        return checkpoints.load(name_or_path, image_size)
    raise ModelError(
        f"no student {name_or_path!r}: give the name of a net ({', '.join(KNOWN)}), which begins with random weights, "
        "or a weights file to go on from, or a net's config as .json"
    )


def notes(teacher: nn.Module, student: nn.Module) -> list[str]:
    """What is noteworthy of the pair, in sentences."""
    large, small = config_of(teacher), config_of(student)
    said = []
    if weights(student) > weights(teacher):
        said.append(
            f"the student ({small.name}, {weights(student) / 1e6:.1f} M weights) is larger than its teacher "
            f"({large.name}, {weights(teacher) / 1e6:.1f} M): it will cost more and hardly become better"
        )
    if large.image_size != small.image_size:
        told = f"the teacher sees every window at {large.image_size} px, the student at {small.image_size} px"
        if large.embedding_size != small.embedding_size:
            told += (
                f"; the teacher's {large.embedding_size} x {large.embedding_size} embedding is brought to the student's"
                f" {small.embedding_size} x {small.embedding_size}, so finer details cannot be learned from it"
            )
        said.append(told)
    if large.dim != small.dim:
        said.append(
            f"the teacher's embedding has {large.dim} channels, the student's {small.dim}: a projection between them "
            "is used in training only, and the teacher's decoder cannot be taken over"
        )
    return said


def weights(net: nn.Module) -> int:
    """How many numbers a net has learned."""
    return sum(weight.numel() for weight in net.parameters())


def _config_file(path: Path) -> NetConfig:
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no config at {path}") from None
