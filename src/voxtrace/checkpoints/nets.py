"""A net from its config's name, and configs as JSON, so that a weights file carries its own."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from voxtrace.errors import CheckpointError, ModelError
from voxtrace.model import config as sam2_configs, sam1 as sam1_configs
from voxtrace.model.config import CONFIGS, Perceived, Sam2Config
from voxtrace.model.sam1 import SAM1_CONFIGS, Sam1, Sam1Config
from voxtrace.model.sam2 import Sam2

NetConfig = Sam2Config | Sam1Config
KNOWN: dict[str, NetConfig] = {**CONFIGS, **SAM1_CONFIGS}
RANDOM_FILLS = {"uniform_", "normal_", "kaiming_uniform_", "xavier_uniform_"}
TYPES = {
    name: found
    for module in (sam2_configs, sam1_configs)
    for name, found in vars(module).items()
    if isinstance(found, type) and dataclasses.is_dataclass(found)
}


def net_config(name: str, image_size: int | None = None, zoom: float | None = None) -> NetConfig:
    """The config called `name`, for another image size or zoom where given. Raises ModelError."""
    if name not in KNOWN:
        raise ModelError(f"no net is called {name!r}; known: {', '.join(KNOWN)}")
    return resized(KNOWN[name], image_size, zoom)


def resized(config: NetConfig, image_size: int | None, zoom: float | None = None) -> NetConfig:
    """The same net for another image size or zoom. Raises ModelError for a size that the net cannot take."""
    if isinstance(config, Sam1Config):
        if image_size not in (None, config.image_size):
            raise ModelError(f"{config.name} has position tables for {config.image_size} px and runs at no other size")
        return config
    if image_size is not None:
        step = 256 if isinstance(config.keeping, Perceived) else 32
        if image_size < step or image_size % step:
            raise ModelError(f"image size {image_size} does not suit {config.name}: give a multiple of {step}, as 512")
        config = config.at(image_size)
    return config if zoom is None else dataclasses.replace(config, zoom=zoom)


def build(config: NetConfig) -> nn.Module:
    """The net, with random weights."""
    return Sam1(config) if isinstance(config, Sam1Config) else Sam2(config)


def blank(config: NetConfig) -> nn.Module:
    """The net with whatever its memory held, to be loaded at once: ten times as fast as drawing random weights."""
    with _NoDraws():
        return build(config)


class _NoDraws(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled with random numbers."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def to_json(config: Any) -> str:
    """A config as JSON; the types of its parts are named."""
    return json.dumps(_plain(config))


def from_json(text: str) -> NetConfig:
    """The inverse of `to_json`. Raises CheckpointError for what is no config of this version's."""
    try:
        config = _typed(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"the file's own config cannot be read by this version of voxtrace: {error}") from error
    if not isinstance(config, NetConfig):
        raise CheckpointError(f"the file's own config is no net's: {text[:80]}")
    return config


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        fields = {name: _typed(item) for name, item in value.items() if name != "type"}
        if value["type"] not in TYPES:
            raise KeyError(f"unknown part {value['type']!r}; a newer version may know it")
        return TYPES[value["type"]](**fields)
    return tuple(_typed(item) for item in value) if isinstance(value, list) else value
