"""Files of our own, as training writes them, and what `check` tells of a file."""

import json

import pytest

torch = pytest.importorskip("torch")

from hollow import hollow_state, sam21_tiny, written  # noqa: E402
from voxtrace.checkpoints import Registered, check, load, resolve, save  # noqa: E402
from voxtrace.checkpoints.nets import build, net_config  # noqa: E402
from voxtrace.errors import OutputError  # noqa: E402

pytestmark = pytest.mark.torch

SMALL = "voxtrace-small"


@pytest.fixture
def small(tmp_path):
    """A voxtrace-small file, as training writes it, and the net in it."""
    config = net_config(SMALL, image_size=128)
    net = build(config)
    path = tmp_path / "small.safetensors"
    save(path, net, config, {"licence": "Apache-2.0", "card": "A card."})
    return path, net


def test_our_own_file_brings_its_config_and_every_value(small):
    path, net = small
    again = load(path)
    assert again.config == net.config
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in again.state_dict().items())


def test_our_own_file_says_its_size_without_torch_values(small):
    located = resolve(small[0])
    assert (located.config, located.image_size, located.note) == (SMALL, 128, "")


def test_half_precision_halves_the_file_and_loads_as_float32(small, tmp_path):
    path, net = small
    save(tmp_path / "half.safetensors", net, net.config, {}, half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * path.stat().st_size
    again = load(tmp_path / "half.safetensors")
    assert torch.equal(again.no_obj_ptr, net.no_obj_ptr.half().float())


def test_values_beyond_float16_are_refused(small, tmp_path):
    _, net = small
    with torch.no_grad():
        net.no_obj_ptr.fill_(1e6)
    with pytest.raises(OutputError, match="no_obj_ptr has values beyond"):
        save(tmp_path / "half.safetensors", net, net.config, {}, half=True)


def test_a_file_that_cannot_be_written_is_named(small, tmp_path):
    (tmp_path / "taken").write_text("a file where a folder is needed")
    with pytest.raises(OutputError, match="cannot be written"):
        save(tmp_path / "taken" / "net.safetensors", small[1], small[1].config, {})


def test_the_embedded_model_is_found_in_the_installation(monkeypatch, small):
    monkeypatch.setattr(Registered, "path", property(lambda self: small[0]))
    located = resolve(SMALL)
    assert (located.name, located.image_size) == (SMALL, 128)


def test_check_tells_what_a_file_is(tmp_path):
    report = check(sam21_tiny(tmp_path))
    assert (report.family, report.keys, report.wrapper, report.naming) == (
        "sam2.1_hiera_tiny",
        471,
        "model",
        "official",
    )
    assert report.parameters == 38_962_498 + 2 * 128  # with the position matrix, which is no parameter
    assert report.dtypes == {"float32": 471}
    assert report.loads is True
    assert "medsam2" in report.note


def test_check_says_why_a_file_does_not_load(tmp_path):
    state = hollow_state(SMALL)
    del state["no_obj_ptr"]
    report = check(written(tmp_path / "net.pt", state))
    assert report.loads is False
    assert report.problem.endswith("missing     no_obj_ptr")


def test_check_says_what_a_file_lacks_to_be_shipped(small):
    assert check(small[0]).lacks == ("data_sha256",)


def test_check_knows_a_published_file_by_its_hash(monkeypatch, tmp_path):
    from voxtrace.checkpoints import report
    from voxtrace.hashing import sha256_of

    path = sam21_tiny(tmp_path)
    known = {"medsam2": Registered("medsam2", "", 512, "", "", sha256=sha256_of(path))}
    monkeypatch.setattr(report, "registry", lambda: known)
    assert report.check(path).published_as == "medsam2"


def test_metadata_holds_the_config_as_json(small):
    from voxtrace.checkpoints.reader import read_header

    assert json.loads(read_header(small[0]).metadata["config"])["name"] == SMALL
