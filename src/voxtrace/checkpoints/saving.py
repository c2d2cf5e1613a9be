"""Write a net as safetensors with everything needed to use and to judge it in the file itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from voxtrace.checkpoints.nets import NetConfig, to_json
from voxtrace.errors import OutputError

FORMAT = "voxtrace 1"


def save(path: Path, model: nn.Module, config: NetConfig, metadata: Mapping[str, str], half: bool = False) -> None:
    """Write `model`'s tensors and, as metadata, its config as JSON and `metadata`.

    metadata: texts; to be shipped a file needs `card`, `licence` and `data_sha256` (hash of the training data's list).
    half: store floating tensors in float16, half the size; they are read back as float32. Written beside and renamed,
    so that no half-written file is ever left under `path`. Raises OutputError.
    """
    state = {name: _stored(name, tensor, half) for name, tensor in model.state_dict().items()}
    texts = {"format": FORMAT, "config": to_json(config), **metadata}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, part, metadata=texts)
        os.replace(part, path)
    except (OSError, SafetensorError) as error:  # the latter where the disk becomes full
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(f"{path} cannot be written: {error}") from error


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    if not half or not tensor.is_floating_point():
        return tensor
    small = tensor.half()
    if not torch.equal(small.isfinite(), tensor.isfinite()):
        raise OutputError(f"{name} has values beyond float16's 65504; save with half=False")
    return small
