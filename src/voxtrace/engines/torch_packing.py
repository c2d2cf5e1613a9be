"""Encoded frames as plain arrays and back to tensors, to the bit; and all that they depend on, in one line of text.

Kept to the bit with the order of their axes in memory: most maps of these nets lie channels last, and a kernel that
gets them in another order rounds otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from voxtrace.checkpoints.nets import NetConfig, to_json
from voxtrace.engines.cpu import this_cpu
from voxtrace.hashing import SeenFile
from voxtrace.model.sam2 import Encoded

ENCODING = 1  # to be raised by whoever changes what `encode` computes from the same weights and frame
IMAGE, EMBEDDING, HIGH_RES = "image", "embedding", "high_res_"


class Identity:
    """What the features of a net from a file depend on beside the frame. The file is read when that is first asked."""

    def __init__(self, config: NetConfig, weights: SeenFile | None) -> None:
        self._config = config
        self._file = weights
        self._sha256: str | None = None

    def text(self, device: torch.device, precision: str = "float32") -> str:
        """ "" for a net that was made in memory, or whose file has changed since it was loaded."""
        if self._sha256 is None:
            self._sha256 = self._file.sha256() if self._file is not None else ""
        if not self._sha256:
            return ""
        on = torch.cuda.get_device_name(device) if device.type == "cuda" else this_cpu().kind
        # Sums are split among threads, so their number shows in the last bits (measured).
        how = [torch.__version__, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), precision]
        also = [ENCODING, torch.get_float32_matmul_precision(), device.type, on]
        return " ".join(map(str, ["torch", *how, *also, self._sha256, to_json(self._config)]))


def pack(encoded: Encoded) -> dict[str, np.ndarray]:
    """{name.dtype: array} of one frame."""
    named = {EMBEDDING: encoded.embedding} | {f"{HIGH_RES}{i}": one for i, one in enumerate(encoded.high_res)}
    return pack_tensors(named if encoded.image is None else named | {IMAGE: encoded.image})


def unpack(arrays: Mapping[str, np.ndarray], device: torch.device) -> Encoded:
    """The inverse. Raises KeyError for other arrays."""
    named = unpack_tensors(arrays, device)
    maps = tuple(named[f"{HIGH_RES}{i}"] for i in range(sum(name.startswith(HIGH_RES) for name in named)))
    return Encoded(named[EMBEDDING], maps, named.get(IMAGE))


def pack_tensors(named: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Tensors of any floating dtype as {name.dtype: array}; NumPy has no bfloat16, float32 holds it whole."""
    wide = {name: t.float() if t.dtype == torch.bfloat16 else t for name, t in named.items()}
    return {f"{name}.{str(named[name].dtype)[6:]}": t.detach().cpu().numpy() for name, t in wide.items()}


def unpack_tensors(arrays: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """The inverse."""
    named = {}
    for name, array in arrays.items():
        plain, dtype = name.rsplit(".", 1)
        named[plain] = torch.from_numpy(array).to(device, getattr(torch, dtype))
    return named
