"""Which engine and precision run a model here, and why. Nothing is loaded to find out, not even PyTorch.

a CUDA GPU that is asked for or there, and PyTorch      torch
else a model that has graphs                            OpenVINO, else ONNX Runtime, else torch
else                                                    torch
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Literal, get_args

from voxtrace.engines.cpu import this_cpu
from voxtrace.errors import MissingDependencyError, ModelError

EngineName = Literal["auto", "torch", "openvino", "onnxruntime"]
Precision = Literal["auto", "fp32", "bf16"]
EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx", "torch": "torch"}  # engine, also the package -> pip's extra


@dataclass(frozen=True, slots=True)
class Choice:
    """engine: one of EXTRAS. precision: fp32 or bf16. why: both, in words."""

    engine: str
    precision: str
    why: str


def choose(engine: str = "auto", precision: str = "auto", device: str = "auto", why_no_graphs: str = "") -> Choice:
    """What runs a model. why_no_graphs: in words, where it has none that could be run; "" where it has.

    Raises ModelError for names that mean nothing and for what contradicts itself, MissingDependencyError for an engine
    that is asked for and not installed.
    """
    _known("--engine", engine, EngineName)
    _known("--precision", precision, Precision)
    if engine == "auto":
        engine, why = _automatic(device, why_no_graphs)
    else:
        why = "asked for"
        _possible(engine, device, why_no_graphs)
    chosen, reason = _precision(engine, precision, device)
    return Choice(engine, chosen, f"{engine}: {why}; {chosen}: {reason}")


def installed(package: str) -> bool:
    """Whether it can be imported, as far as that can be told without doing it."""
    try:
        return util.find_spec(package) is not None
    except (ImportError, ValueError):  # ValueError: something stands in for it that has no spec
        return False


def nvidia_driver() -> bool:
    """Whether the system has a driver of NVIDIA's: without one PyTorch need not be asked for a GPU."""
    if sys.platform == "win32":
        import ctypes.util

        return ctypes.util.find_library("nvcuda") is not None
    return Path("/proc/driver/nvidia").exists() or Path("/dev/dxg").exists()  # the second: Linux within Windows


def _automatic(device: str, why_no_graphs: str) -> tuple[str, str]:
    if device not in ("auto", "cpu"):
        _need("torch", f"--device {device}")
        return "torch", f"the one that runs on {device}"
    if device == "auto" and nvidia_driver() and installed("torch") and _cuda():
        return "torch", "there is a CUDA GPU"
    if why_no_graphs:
        if not installed("torch"):
            raise MissingDependencyError(
                "torch",
                "torch",
                f"{why_no_graphs}. Without PyTorch a model runs from graphs: where it is installed, "
                "`voxtrace export MODEL -o DIR` writes them, and --model DIR runs them anywhere. Here the model",
            )
        return "torch", why_no_graphs
    if installed("openvino") and not this_cpu().too_old:
        return "openvino", "no CUDA GPU is used, and it is the fastest on a CPU"
    lacking = "the processor is too old for OpenVINO" if this_cpu().too_old else "OpenVINO is not installed"
    for other in ("onnxruntime", "torch"):
        if installed(other):
            return other, lacking
    raise MissingDependencyError("openvino", "openvino", "running a model on a CPU")


def _possible(engine: str, device: str, why_no_graphs: str) -> None:
    """Raise an error if an engine that is asked for cannot do it."""
    if engine == "torch":
        _need("torch", "--engine torch")
        return
    if device not in ("auto", "cpu"):
        raise ModelError(f"--engine {engine} runs on the CPU, not on --device {device}; leave one of the two out")
    if why_no_graphs:
        raise ModelError(f"--engine {engine} runs exported graphs, but {why_no_graphs}; `voxtrace export` writes them")
    _need(engine, f"--engine {engine}")


def _precision(engine: str, asked: str, device: str) -> tuple[str, str]:
    if engine == "onnxruntime":
        if asked == "bf16":
            raise ModelError(f"--precision bf16: the engine {engine} runs in fp32; bf16 needs OpenVINO or PyTorch")
        return "fp32", "the only one of this engine" if asked == "auto" else "asked for"
    if asked != "auto":
        return asked, "asked for"
    if engine == "torch" and device != "cpu":
        if device.startswith("cuda") or (device == "auto" and nvidia_driver() and _cuda()):
            return ("bf16", "the GPU computes in it") if _cuda_bf16() else ("fp32", "the GPU does not compute in bf16")
        if device != "auto":
            return "fp32", f"bf16 is not tried on {device}"
    unit = this_cpu().fast_bf16
    return ("bf16", f"the processor has {unit}") if unit else ("fp32", "the processor has no bf16 unit")


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _cuda_bf16() -> bool:
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def _need(package: str, purpose: str) -> None:
    if not installed(package):
        raise MissingDependencyError(package, EXTRAS[package], purpose)


def _known(option: str, value: str, names: object) -> None:
    if value not in get_args(names):
        raise ModelError(f"{option} {value} is unknown; one of {', '.join(get_args(names))}")
