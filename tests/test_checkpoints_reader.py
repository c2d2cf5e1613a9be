"""Reading weights files: nothing runs, whatever is in them, and damage is named."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from hollow import written  # noqa: E402
from voxtrace.checkpoints.reader import read_header, read_weights  # noqa: E402
from voxtrace.errors import CheckpointError  # noqa: E402

pytestmark = pytest.mark.torch


class Payload:
    """Runs a command where it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self):
        return os.system, (f"touch {self.touched}",)


def state() -> dict:
    return {"head.weight": torch.arange(6.0).reshape(2, 3), "head.bias": torch.ones(2), "steps": torch.tensor(7)}


def malicious_zip(path: Path, payload: Payload) -> None:
    torch.save({"model": state(), "extra": payload}, path)


def malicious_legacy(path: Path, payload: Payload) -> None:
    torch.save({"model": state(), "extra": payload}, path, _use_new_zipfile_serialization=False)


def malicious_pickle(path: Path, payload: Payload) -> None:
    path.write_bytes(pickle.dumps({"model": {"w": np.zeros(3)}, "extra": payload}))


@pytest.mark.parametrize("write", [malicious_zip, malicious_legacy, malicious_pickle])
@pytest.mark.parametrize("read", [read_header, read_weights])
def test_code_in_a_pickle_is_refused_and_never_runs(tmp_path, write, read):
    touched = tmp_path / "touched"
    write(tmp_path / "evil.pt", Payload(touched))
    with pytest.raises(CheckpointError, match="refused, and nothing of it was run"):
        read(tmp_path / "evil.pt")
    assert not touched.exists()


def test_a_payload_would_run_if_it_were_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "touched")))
    assert (tmp_path / "touched").exists()


def test_the_refusal_names_what_would_run(tmp_path):
    malicious_zip(tmp_path / "evil.pt", Payload(tmp_path / "touched"))
    with pytest.raises(CheckpointError, match=r"posix\.system|nt\.system"):
        read_weights(tmp_path / "evil.pt")


def test_a_torchscript_program_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:  # as torch.jit.save lays it out
        archive.writestr("program/constants.pkl", b"\x80\x02)\x81.")
        archive.writestr("program/code/__torch__.py", b"class Net(Module): ...")
    with pytest.raises(CheckpointError, match="TorchScript program"):
        read_weights(tmp_path / "program.pt")


BROKEN = {
    "is empty": b"",
    "is a web page": b"<!DOCTYPE html><html>Not found</html>",
    "git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "neither safetensors nor a PyTorch file": b"these are words, not weights",
    "damaged or was cut short": b"PK\x03\x04 and then nothing of a zip file follows",
    "no PyTorch file": b"\x80\x02 and no pickle either",
    "safetensors header cannot be read": (20).to_bytes(8, "little") + b"{" + b"x" * 30,
}


@pytest.mark.parametrize("reason", BROKEN)
def test_what_is_no_weights_file_is_named(tmp_path, reason):
    path = tmp_path / "net.pt"
    path.write_bytes(BROKEN[reason])
    with pytest.raises(CheckpointError, match=reason):
        read_weights(path)


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_file_cut_short_is_named(tmp_path, ending):
    path = tmp_path / f"net{ending}"
    tensors = {"head.weight": torch.rand(40, 50)}
    torch.save(tensors, path) if ending == ".pt" else save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(CheckpointError, match="cut short"):
        read_header(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no weights file .*gone\.pt"):
        read_weights(tmp_path / "gone.pt")


def test_a_folder_is_answered_with_the_file_in_it(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        read_weights(tmp_path)


def test_another_programs_zip_is_named(tmp_path):
    np.savez(tmp_path / "scan.npz", imgs=np.zeros(3))
    with pytest.raises(CheckpointError, match="not one that PyTorch wrote"):
        read_weights(tmp_path / "scan.npz")


def test_a_file_without_tensors_says_what_it_holds(tmp_path):
    with pytest.raises(CheckpointError, match="a dictionary with the keys epoch, loss"):
        read_weights(written(tmp_path / "net.pt", {"epoch": 3, "loss": 0.5}))


def prefixed(prefix: str) -> dict:
    return {prefix + name: tensor for name, tensor in state().items()}


WRAPPED = {
    "": state(),
    "model": {"model": state()},
    "state_dict": {"state_dict": state()},
    "module.": prefixed("module."),
    "model > sam2_model.": {"model": prefixed("sam2_model."), "optimizer": {"state": {}}, "epoch": 4},
    "model > module.": {"model": prefixed("module."), "optimizer": {"param_groups": [{"lr": 0.1}]}, "steps": 9},
    "module.sam2_model.": prefixed("module.sam2_model."),
    "state_dict > model.": {"state_dict": prefixed("model."), "hyper_parameters": {"lr": 1}},
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_every_wrapper_is_taken_off_and_named(tmp_path, wrapper):
    path = written(tmp_path / "net.pt", WRAPPED[wrapper])
    assert read_header(path).wrapper == wrapper
    read = read_weights(path).state
    assert set(read) == set(state())
    assert torch.equal(read["head.weight"], state()["head.weight"])


def test_medical_sam2_training_output_is_unwrapped(tmp_path):
    path = written(tmp_path / "latest_epoch.pth", {"model": state(), "parameter": {"mask": torch.ones(1)}})
    assert set(read_weights(path).state) == set(state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_tensors_come_as_float32_and_counters_as_they_are(tmp_path, dtype):
    path = written(tmp_path / "net.pt", {"w": torch.tensor([1.5, -2.0], dtype=dtype), "steps": torch.tensor(7)})
    read = read_weights(path).state
    assert read["w"].dtype == torch.float32
    assert read["w"].tolist() == [1.5, -2.0]
    assert read["steps"].dtype == torch.int64


def test_files_of_before_pytorch_1_6_are_read(tmp_path):
    torch.save(state(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(tmp_path / "old.pth").state["head.weight"], state()["head.weight"])


def test_a_file_is_told_by_content_not_by_ending(tmp_path):
    save_file(state(), tmp_path / "net.pt", metadata={"licence": "CC0-1.0"})
    assert read_weights(tmp_path / "net.pt").metadata == {"licence": "CC0-1.0"}


def test_a_safetensors_header_is_read_with_shapes_and_dtypes(tmp_path):
    save_file(state(), tmp_path / "net.safetensors", metadata={"config": json.dumps({"a": 1})})
    header = read_header(tmp_path / "net.safetensors")
    assert header.shapes["head.weight"] == (2, 3)
    assert header.dtypes == {"head.weight": "F32", "head.bias": "F32", "steps": "I64"}
