"""`voxtrace doctor`: what this machine has and what is missing, with the line that brings it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib import metadata

from voxtrace import __version__, checkpoints, engines
from voxtrace.checkpoints.download import expected_hash
from voxtrace.cli.terminal import megabytes, print_json, say
from voxtrace.engines import compiled
from voxtrace.engines.cpu import this_cpu, threads, threads_text
from voxtrace.errors import VoxtraceError
from voxtrace.hashing import sha256_of

# package on PyPI -> (needed for, extra that brings it; "" comes with voxtrace itself)
PACKAGES = {
    "numpy": ("everything", ""),
    "scipy": ("everything", ""),
    "nibabel": ("NIfTI", ""),
    "pynrrd": ("NRRD", ""),
    "pydicom": ("DICOM", ""),
    "av": ("video", ""),
    "Pillow": ("pictures", ""),
    "tifffile": ("TIFF", ""),
    "safetensors": ("weights", ""),
    "openvino": ("running a model on a CPU", "openvino"),
    "onnxruntime": ("running a model where OpenVINO does not", "onnx"),
    "torch": ("training, GPUs, and models without exported graphs", "torch"),
}
CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8")
LOW_DISK = 2e9


@dataclass(frozen=True)
class Found:
    """One line of the report. ok: False is a problem that the `fix` solves; None is only worth knowing."""

    what: str
    value: str
    ok: bool | None = True
    fix: str = ""


@dataclass(frozen=True)
class Doctor:
    """Check this machine: packages, CPU and GPU, weights, disk; say what is missing and how to get it."""

    json: bool = False
    """One JSON object instead of text."""

    def run(self) -> int:
        """Print what is found; exit code 0 if a model can run here, else 2."""
        found = [*_python(), *_packages(), *_torch(), _cpu(), *_engine(), *_weights(), _disk()]
        problems = [item for item in found if item.ok is False]
        if self.json:
            print_json({"ok": not problems, "version": __version__, "found": [asdict(item) for item in found]})
        else:
            for item in found:
                mark = {True: "ok", False: "!!", None: "  "}[item.ok]
                say(f"{mark}  {item.what:14} {item.value}" + (f"\n{'':19}-> {item.fix}" if item.fix else ""))
            say(f"\n{len(problems)} problem(s)" if problems else "\nReady.")
        return 2 if problems else 0


def _python() -> list[Found]:
    return [
        Found("voxtrace", __version__),
        Found("python", f"{platform.python_version()} at {sys.executable}, {platform.platform()}"),
    ]


def _packages() -> list[Found]:
    found = []
    for name, (purpose, extra) in PACKAGES.items():
        try:
            found.append(Found(name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            line = f"pip install 'voxtrace[{extra}]'" if extra else f"pip install {name}"
            found.append(Found(name, f"missing: {purpose}", ok=None if extra else False, fix=line))
    return found


def _torch() -> list[Found]:
    try:
        import torch
    except ImportError:
        return []
    found = [Found("torch threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores")]
    if not torch.cuda.is_available():
        return [*found, Found("gpu", "none usable; models run on the CPU", ok=None)]
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found.append(Found("gpu", f"{card.name}, {card.total_memory / 2**30:.0f} GiB (--device cuda:{index})"))
    return found


def _cpu() -> Found:
    cpu = this_cpu()
    if cpu.flags is None:
        return Found("cpu", f"{cpu.name}, {os.cpu_count()} cores (its features are not told here)", ok=None)
    present = [flag for flag in CPU_FEATURES if flag in cpu.flags]
    speed = "bf16 is fast" if cpu.fast_bf16 else "no bf16 unit: float32 is used"
    return Found("cpu", f"{cpu.name}, {os.cpu_count()} cores, {', '.join(present) or 'no avx2'}; {speed}")


def _engine() -> list[Found]:
    """What runs the embedded model when nothing else is asked for, and why."""
    try:
        found = engines.find_model(engines.DEFAULT_MODEL)
        choice = engines.choose(why_no_graphs=found.why_no_graphs)
        why = choice.why
        if choice.engine != "torch":
            found.graphs()
            why += f"; {threads_text(threads())}"
    except VoxtraceError as error:
        return [Found("engine", f"none runs {engines.DEFAULT_MODEL}", False, str(error))]
    return [Found("engine", why), _compiled()]


def _compiled() -> Found:
    folder = compiled.cache_folder()
    if folder is None:
        return Found("compiled graphs", "not kept (VOXTRACE_CACHE=off): each start compiles them", ok=None)
    size = sum(path.stat().st_size for path in folder.glob(f"*{compiled.SUFFIX}"))
    return Found("compiled graphs", f"{megabytes(size)} in {folder}; VOXTRACE_CACHE moves them", ok=None)


def _weights() -> list[Found]:
    found = []
    for model in checkpoints.registry().values():
        if model.path.is_file():
            found.append(_hash(model))
        elif model.embedded:
            found.append(Found("weights", f"{model.name} is missing at {model.path}", False, "reinstall voxtrace"))
    found.append(Found("cache", f"{checkpoints.home()}{_moved()}", ok=None))
    return found


def _hash(model: checkpoints.Registered) -> Found:
    size = megabytes(model.path.stat().st_size)
    expected = expected_hash(model)
    if not expected:
        return Found("weights", f"{model.name}, {size} at {model.path} (no hash is registered)")
    if sha256_of(model.path) == expected:
        return Found("weights", f"{model.name}, {size}, hash as registered")
    fix = "reinstall voxtrace" if model.embedded else f"delete it, then: voxtrace weights pull {model.name}"
    return Found("weights", f"{model.name} at {model.path} is damaged: its hash is not the registered one", False, fix)


def _moved() -> str:
    return " (VOXTRACE_HOME)" if os.environ.get("VOXTRACE_HOME") else "; VOXTRACE_HOME moves it"


def _disk() -> Found:
    folder = checkpoints.home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    fix = "" if free > LOW_DISK else f"make room on the disk of {folder}"
    return Found("free disk", f"{free / 1e9:.1f} GB at {folder}", ok=free > LOW_DISK, fix=fix)
