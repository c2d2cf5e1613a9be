"""Read a weights file safely: safetensors, or PyTorch files through weights_only. No pickle's code ever runs.

The kind is told by content, not by the file's ending. What wraps the state dict (trainer state, `module.` and the like)
is taken off, Hugging Face's names are replaced by the official ones, and half precision becomes float32.
"""

from __future__ import annotations

import json
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from voxtrace.checkpoints.hugging_face import is_hugging_face, official_shapes, to_official
from voxtrace.errors import CheckpointError, MissingDependencyError

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("model", "state_dict", "model_state_dict", "module", "average", "net", "ema", "student")
PREFIXES = ("module.", "_orig_mod.", "sam2_model.", "model.")
MAX_HEADER = 100_000_000
WAY_OUT = (
    "ask its publisher for safetensors, or save the bare state dict yourself where you trust the file: "
    "torch.save(net.state_dict(), ...)"
)


@dataclass(frozen=True, slots=True)
class Header:
    """A file's tensors without their values: official names, shapes, dtypes as text, and what was around them.

    wrapper: e.g. "model" or "module."; "" for a bare state dict. naming: "official" or "Hugging Face".
    """

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str] = field(default_factory=dict)
    wrapper: str = ""
    naming: str = "official"


@dataclass(frozen=True, slots=True)
class Weights:
    """Tensors by official name, floating ones in float32, with the file's own metadata (safetensors only)."""

    state: dict[str, Tensor]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Names and shapes; a safetensors file is not read beyond its head and needs no torch. Raises CheckpointError."""
    if _kind(path) == "safetensors":
        raw, metadata = _safetensors_head(path)
        shapes = {name: tuple(entry["shape"]) for name, entry in raw.items()}
        dtypes = {name: str(entry["dtype"]) for name, entry in raw.items()}
    else:
        tensors, wrapper = _unwrapped(_torch_load(path), path)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        dtypes = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()}
        return _header(shapes, dtypes, {}, wrapper)
    stripped, wrapper = _without_prefixes(shapes)
    return _header(stripped, dtypes, metadata, wrapper)


def read_weights(path: Path) -> Weights:
    """All tensors. Raises CheckpointError for a missing, damaged or unsafe file; MissingDependencyError."""
    metadata: dict[str, str] = {}
    if _kind(path) == "safetensors":
        metadata = _safetensors_head(path)[1]
        loaded: object = _safetensors_load(path)
    else:
        loaded = _torch_load(path)
    tensors, _ = _unwrapped(loaded, path)
    if is_hugging_face(tensors):
        tensors = cast("dict[str, Tensor]", to_official(tensors))
    return Weights({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}, metadata)


def _header(shapes: dict, dtypes: dict, metadata: dict[str, str], wrapper: str) -> Header:
    if is_hugging_face(shapes):
        return Header(official_shapes(shapes), dtypes, metadata, wrapper, "Hugging Face")
    return Header(shapes, dtypes, metadata, wrapper)


def _kind(path: Path) -> str:
    """ "safetensors", "zip" (PyTorch since 1.6) or "pickle" (before), or a CheckpointError that says what it is."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; give the weights file in it, e.g. {path.name}/model.safetensors")
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}")
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise CheckpointError(f"{path} is empty; download it again")
    if start.lstrip()[:1] == b"<":
        raise CheckpointError(
            f"{path} is a web page, not weights: the server sent an error or a question instead; download it again"
        )
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a git-lfs pointer, not weights; run `git lfs pull` where it came from")
    if start.startswith(b"PK"):
        return "zip"
    if start[:1] == b"\x80":
        return "pickle"
    if len(start) > 8 and start[8:9] == b"{":
        return "safetensors"
    raise CheckpointError(f"{path} is neither safetensors nor a PyTorch file (it starts with {start[:8]!r})")


def _safetensors_head(path: Path) -> tuple[dict[str, dict], dict[str, str]]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(min(length, MAX_HEADER))
    try:
        head = json.loads(text)
        metadata = head.pop("__metadata__", {})
        end = max((entry["data_offsets"][1] for entry in head.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: its safetensors header cannot be read ({error})") from error
    if path.stat().st_size < 8 + length + end:
        raise CheckpointError(
            f"{path} was cut short: {path.stat().st_size} bytes of {8 + length + end}; download it again"
        )
    return head, metadata


def _safetensors_load(path: Path) -> dict[str, Tensor]:
    _torch()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _torch_load(path: Path) -> object:
    torch = _torch()
    zipped = _kind(path) == "zip"
    if zipped:
        _refuse_other_zips(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: what matters becomes an error below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is damaged or was cut short: {reason}; download it again") from error


def _refuse_other_zips(path: Path) -> None:
    try:
        names = zipfile.ZipFile(path).namelist()
    except zipfile.BadZipFile:
        size = path.stat().st_size
        raise CheckpointError(f"{path} is damaged or was cut short ({size} bytes); download it again") from None
    if any(name.endswith("constants.pkl") for name in names):
        raise CheckpointError(f"{path} is a TorchScript program, which would run; refused. Way out: {WAY_OUT}")
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(f"{path} is a zip file, but not one that PyTorch wrote (first entry: {names[:1]})")


def _refusal(path: Path, message: str) -> str:
    """A refused pickle's message: code if it names something to call or import, else damage."""
    names = re.findall(r"GLOBAL ([\w.]+)", message) or _plain_pickle_names(path)
    if names or "Can only" in message or "Trying to" in message:
        what = f" ({', '.join(dict.fromkeys(names))})" if names else ""
        return (
            f"{path} holds Python objects or code{what} besides tensors, which loading would run; refused, and nothing "
            f"of it was run. Way out: {WAY_OUT}"
        )
    return f"{path} is damaged or no PyTorch file; download it again"


def _plain_pickle_names(path: Path) -> list[str]:
    """What a pickle not written by PyTorch would import, read from its opcodes without running them."""
    names: list[str] = []
    texts: list[str] = []
    try:
        with path.open("rb") as file:
            for opcode, argument, _ in pickletools.genops(file):
                if opcode.name == "GLOBAL":
                    names.append(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL":
                    names.append(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts.append(argument)
    except Exception:  # a zip or a damaged pickle; genops raises a dozen kinds
        return []
    return names


def _unwrapped(loaded: object, path: Path) -> tuple[dict[str, Tensor], str]:
    """The state dict inside, without prefixes common to all names; and a word on what was taken off."""
    torch = _torch()
    taken: list[str] = []
    while isinstance(loaded, Mapping):
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        inner = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        if inner is None or len(tensors) > len(loaded) / 2:
            stripped, prefix = _without_prefixes(tensors)
            if not stripped:
                break
            return stripped, " > ".join([*taken, prefix] if prefix else taken)
        taken.append(inner)
        loaded = loaded[inner]
    raise CheckpointError(f"{path} holds no tensors by name, but {_described(loaded)}; {WAY_OUT}")


def _without_prefixes(named: dict) -> tuple[dict, str]:
    """Take off prefixes that every name has."""
    taken = ""
    while prefix := next((p for p in PREFIXES if named and all(name.startswith(p) for name in named)), None):
        named = {name.removeprefix(prefix): value for name, value in named.items()}
        taken += prefix
    return named, taken


def _described(loaded: object) -> str:
    if isinstance(loaded, Mapping):
        return f"a dictionary with the keys {', '.join(map(str, list(loaded)[:6])) or '(none)'}"
    return f"a {type(loaded).__name__}"


def _torch():  # type: ignore[no-untyped-def]
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("torch", "torch", "reading a weights file") from None
    return torch
