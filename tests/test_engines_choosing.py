"""Which engine runs a model, for every kind of machine."""

from __future__ import annotations

import pytest

from voxtrace.engines import choosing
from voxtrace.engines.choosing import choose
from voxtrace.engines.cpu import Cpu, this_cpu, threads
from voxtrace.errors import MissingDependencyError, ModelError

ALL = ("torch", "openvino", "onnxruntime")
LAPTOP = Cpu("a laptop", frozenset({"sse4_2", "avx2"}))
SERVER = Cpu("a server", frozenset({"sse4_2", "avx512f", "amx_bf16"}))
ANCIENT = Cpu("an ancient one", frozenset({"sse2"}))
NONE = "medsam has no exported graphs"


@pytest.fixture
def machine(monkeypatch):
    """Call to say what a machine has."""

    def describe(*packages: str, cpu: Cpu = LAPTOP, cuda: bool = False) -> None:
        monkeypatch.setattr(choosing, "installed", lambda package: package in packages)
        monkeypatch.setattr(choosing, "this_cpu", lambda: cpu)
        monkeypatch.setattr(choosing, "nvidia_driver", lambda: cuda)
        monkeypatch.setattr(choosing, "_cuda", lambda: cuda)

    return describe


def test_graphs_run_on_openvino_then_onnx_runtime_then_torch(machine):
    for packages in (ALL, ("torch", "onnxruntime"), ("torch",)):
        machine(*packages)
        expected = {ALL: "openvino", ("torch", "onnxruntime"): "onnxruntime", ("torch",): "torch"}[packages]
        assert choose().engine == expected


def test_a_gpu_is_used_with_torch_alone(machine):
    machine(*ALL, cuda=True)
    assert choose().engine == "torch"
    assert choose(device="cpu").engine == "openvino"
    machine("openvino", cuda=True)
    assert choose().engine == "openvino"
    with pytest.raises(MissingDependencyError, match=r"voxtrace\[torch\]"):
        choose(device="cuda:1")


def test_a_model_without_graphs_needs_torch(machine):
    machine(*ALL)
    assert choose(why_no_graphs=NONE).engine == "torch"
    machine("openvino", "onnxruntime")
    with pytest.raises(MissingDependencyError, match="voxtrace export") as told:
        choose(why_no_graphs=NONE)
    assert NONE in str(told.value)
    assert "pip install 'voxtrace[torch]'" in str(told.value)


def test_nothing_installed_says_what_to_install(machine):
    machine()
    with pytest.raises(MissingDependencyError, match=r"pip install 'voxtrace\[openvino\]'"):
        choose()


def test_bf16_is_taken_only_where_the_processor_has_a_unit_for_it(machine):
    machine(*ALL, cpu=SERVER)
    assert (choose().engine, choose().precision) == ("openvino", "bf16")
    assert "amx_bf16" in choose().why
    assert choose(precision="fp32").precision == "fp32"
    assert choose(engine="onnxruntime").precision == "fp32"
    machine(*ALL)
    assert choose().precision == "fp32"
    assert "no bf16 unit" in choose().why
    assert choose(precision="bf16").precision == "bf16", "where it is asked for"


def test_torch_computes_in_bf16_where_the_gpu_or_the_processor_does(machine, monkeypatch):
    machine(*ALL, cuda=True)
    for able, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(choosing, "_cuda_bf16", lambda able=able: able)
        assert choose().precision == choose(device="cuda:1").precision == expected
    assert choose(engine="torch", device="cpu").precision == "fp32"
    assert choose(engine="torch", device="mps").precision == "fp32"
    assert choose(engine="torch", device="mps", precision="bf16").precision == "bf16"
    machine("torch", cpu=SERVER)
    assert choose().precision == "bf16"


def test_a_processor_that_openvino_would_crash_on_is_given_another(machine):
    machine(*ALL, cpu=ANCIENT)
    assert choose().engine == ("onnxruntime" if ANCIENT.too_old else "openvino")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"engine": "tensorflow"}, "--engine tensorflow is unknown; one of auto, torch, openvino, onnxruntime"),
        ({"precision": "fp8"}, "--precision fp8 is unknown"),
        ({"engine": "openvino", "device": "cuda"}, "runs on the CPU"),
        ({"engine": "onnxruntime", "why_no_graphs": NONE}, "voxtrace export"),
        ({"engine": "onnxruntime", "precision": "bf16"}, "bf16 needs OpenVINO"),
    ],
)
def test_what_cannot_be_is_told(machine, asked, told):
    machine(*ALL)
    with pytest.raises(ModelError, match=told):
        choose(**asked)


def test_an_engine_that_is_asked_for_and_missing_is_told(machine):
    machine("torch")
    with pytest.raises(MissingDependencyError, match=r"pip install 'voxtrace\[onnx\]'"):
        choose(engine="onnxruntime")


def test_this_processor_has_a_name():
    assert this_cpu().name


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.delenv("VOXTRACE_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads() == 3
    monkeypatch.setenv("VOXTRACE_THREADS", "2")
    assert threads() == 2
    monkeypatch.setenv("VOXTRACE_THREADS", "many")
    with pytest.raises(ModelError, match="VOXTRACE_THREADS=many"):
        threads()
    monkeypatch.delenv("VOXTRACE_THREADS")
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads() is None
