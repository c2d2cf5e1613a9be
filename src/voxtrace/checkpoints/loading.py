"""Build a net and load its weights strictly: every missing, unexpected or misshapen tensor is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from voxtrace.checkpoints.locate import Located, resolve
from voxtrace.checkpoints.nets import NetConfig, blank, from_json, net_config, resized
from voxtrace.checkpoints.reader import read_weights
from voxtrace.errors import CheckpointError

SHOWN = 8  # names spelt out in an error's text before they are grouped
MEMORY = ("memory_encoder", "memory_attention")


class MismatchError(CheckpointError):
    """A file's tensors are not the net's.

    missing, unexpected: every name. mismatched: {name: (shape in the file, shape in the net)}. The text groups long
    lists by part; `listing()` spells all out.
    """

    def __init__(
        self,
        path: Path,
        config: str,
        missing: list[str],
        unexpected: list[str],
        mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        self.missing, self.unexpected, self.mismatched = missing, unexpected, mismatched
        shapes = [f"{name} {found} instead of {wanted}" for name, (found, wanted) in mismatched.items()]
        parts = [("missing", missing), ("unexpected", unexpected), ("misshapen", shapes)]
        text = "; ".join(f"{len(names)} {kind}: {_grouped(names)}" for kind, names in parts if names)
        super().__init__(f"{path} is not a complete {config}: {text}{_hint(missing, unexpected, mismatched)}")

    def listing(self) -> str:
        """Every name on a line of its own."""
        lines = [f"missing     {name}" for name in self.missing]
        lines += [f"unexpected  {name}" for name in self.unexpected]
        lines += [f"misshapen   {name}: {found}, not {want}" for name, (found, want) in self.mismatched.items()]
        return "\n".join(lines)


def load(name_or_path: str | Path | Located, image_size: int | None = None) -> nn.Module:
    """A registered model or a file as a net, strictly loaded, in float32 and eval mode, on the CPU.

    Raises ModelError for unknown names and unfit image sizes; CheckpointError for files that are missing, damaged,
    unsafe or another net's (MismatchError names all that differs). Whether something was guessed, `resolve` tells:
    hand its Located in to look at its note first.
    """
    located = name_or_path if isinstance(name_or_path, Located) else resolve(name_or_path, image_size)
    weights = read_weights(located.path)
    return loaded(located_config(located), weights.state, located.path)


def located_config(located: Located) -> NetConfig:
    """The config of a located file: its own where it has one."""
    if located.own_config:
        return resized(from_json(located.own_config), located.image_size, located.zoom)
    return net_config(located.config, located.image_size, located.zoom)


def loaded(config: NetConfig, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """The net of `config` with `state` (official names); `path` is for messages. Raises MismatchError."""
    net = blank(config)
    own = net.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    mismatched = {
        name: (tuple(state[name].shape), tuple(tensor.shape))
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    }
    if missing or unexpected or mismatched:
        raise MismatchError(path, config.name, missing, unexpected, mismatched)
    net.load_state_dict(dict(state), strict=True)
    return net.eval()


def _grouped(names: list[str]) -> str:
    if len(names) <= SHOWN:
        return ", ".join(names)
    groups = Counter(".".join(name.split(" ")[0].split(".")[:2]) for name in names)
    return ", ".join(f"{group}.* ({count})" if count > 1 else group for group, count in groups.items())


def _hint(missing: list[str], unexpected: list[str], mismatched: dict) -> str:
    if any(name.startswith(MEMORY) for name in missing) and not unexpected and not mismatched:
        return ". It holds the image half only (as Sam2Model saves it); take a file with the memory parts too"
    return ""
