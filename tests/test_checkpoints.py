"""From a name or a file to a net: telling families apart, image sizes, strict loads, and files of our own."""

import json

import pytest

torch = pytest.importorskip("torch")

from hollow import hollow_state, written  # noqa: E402
from voxtrace.checkpoints import MismatchError, Registered, check, load, registry, resolve, save  # noqa: E402
from voxtrace.checkpoints.nets import build, from_json, net_config, to_json  # noqa: E402
from voxtrace.checkpoints.sniff import sniff  # noqa: E402
from voxtrace.errors import CheckpointError, ModelError, OutputError  # noqa: E402

pytestmark = pytest.mark.torch

FAMILIES = sorted({model.config for model in registry().values() if model.config})
SMALL = "voxtrace-small"


@pytest.fixture
def tiny(tmp_path):
    """A function that writes a file with the tensors of SAM 2.1 tiny, which are MedSAM2's too."""
    return lambda name="mine.pt": written(tmp_path / name, {"model": hollow_state("sam2.1_hiera_tiny")})


@pytest.fixture
def small(tmp_path):
    """A voxtrace-small file, as training writes it, and the net in it."""
    config = net_config(SMALL, image_size=128)
    net = build(config)
    path = tmp_path / "small.safetensors"
    save(path, net, config, {"licence": "Apache-2.0", "card": "A card."})
    return path, net


@pytest.mark.parametrize("config", FAMILIES)
def test_every_registered_family_is_told_by_names_and_shapes(config):
    assert sniff({name: tuple(t.shape) for name, t in hollow_state(config).items()}, "file") == config


def test_a_sam1_of_another_width_is_named():
    with pytest.raises(CheckpointError, match="looks like SAM ViT-H"):
        sniff({"image_encoder.pos_embed": (1, 64, 64, 1280)}, "sam_vit_h.pth")


def test_an_unknown_net_is_described_by_its_names():
    with pytest.raises(CheckpointError, match=r"3 tensors, layer1 \(2\), fc \(1\)"):
        sniff({"layer1.w": (1,), "layer1.b": (1,), "fc.w": (2,)}, "resnet.pth")


def test_medsam2_or_sam21_tiny_is_taken_for_the_latter_and_said(tiny):
    located = resolve(tiny())
    assert (located.config, located.image_size) == ("sam2.1_hiera_tiny", 1024)
    assert "medsam2" in located.note
    assert "--image-size 512" in located.note


def test_the_published_file_name_settles_it_and_that_is_said(tiny):
    located = resolve(tiny("MedSAM2_CTLesion.pt"))
    assert located.image_size == 512
    assert "medsam2-ct-lesion" in located.note


def test_a_sidecar_settles_it_before_the_name(tiny):
    path = tiny("MedSAM2_CTLesion.pt")
    path.with_name(path.name + ".json").write_text('{"image_size": 768}')
    located = resolve(path)
    assert located.image_size == 768
    assert "MedSAM2_CTLesion.pt.json" in located.note


def test_the_argument_settles_it_before_all(tiny):
    path = tiny()
    path.with_name(path.name + ".json").write_text('{"image_size": 768}')
    assert resolve(path, image_size=512).image_size == 512
    assert resolve(path, image_size=512).note == ""


def test_a_broken_sidecar_is_named(tiny):
    path = tiny()
    path.with_name(path.name + ".json").write_text("512")
    with pytest.raises(CheckpointError, match=r"mine\.pt\.json should be an object"):
        resolve(path)


def test_a_family_of_one_size_needs_no_note(tmp_path):
    located = resolve(written(tmp_path / "x.pt", hollow_state("sam2_hiera_small")))
    assert (located.config, located.image_size, located.note) == ("sam2_hiera_small", 1024, "")


def test_a_registered_name_knows_its_size(monkeypatch, tmp_path, tiny):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    tiny("weights/MedSAM2_latest.pt")
    located = resolve("medsam2")
    assert (located.config, located.image_size, located.note) == ("sam2.1_hiera_tiny", 512, "")


def test_a_registered_name_at_another_size_is_said(monkeypatch, tmp_path, tiny):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    tiny("weights/MedSAM2_latest.pt")
    assert "trained at 512 px and runs at 1024 px" in resolve("medsam2", image_size=1024).note


def test_a_registered_name_without_its_file_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match="voxtrace weights pull edgetam"):
        resolve("edgetam")


def test_medical_sam2_is_told_by_its_file(monkeypatch, tmp_path):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    written(tmp_path / "weights" / "MedSAM2_pretrain.pth", {"model": hollow_state("sam2_hiera_small")})
    assert resolve("medical-sam2").config == "sam2_hiera_small"


def test_an_unknown_name_names_the_near_ones():
    with pytest.raises(ModelError, match="did you mean medsam2"):
        resolve("medsan2")


def test_a_missing_file_is_not_taken_for_a_name():
    with pytest.raises(CheckpointError, match="no weights file"):
        resolve("weights/none.pt")


def test_a_whole_file_loads_in_float32_for_inference(tiny):
    net = load(tiny("MedSAM2_latest.pt"))
    assert net.config.image_size == 512
    assert not net.training
    assert next(net.parameters()).dtype == torch.float32


@pytest.mark.parametrize("config", ["edgetam", "efficienttam_ti", "litemedsam"])
def test_other_families_load_strictly(tmp_path, config):
    assert load(written(tmp_path / "net.pt", hollow_state(config))).config.name == config


def test_every_difference_is_named(tmp_path):
    state = hollow_state(SMALL)
    del state["no_obj_ptr"]
    state["extra.weight"] = torch.zeros(2)
    state["no_mem_embed"] = torch.zeros(1, 1, 5)
    with pytest.raises(MismatchError) as caught:
        load(written(tmp_path / "net.pt", state))
    assert caught.value.missing == ["no_obj_ptr"]
    assert caught.value.unexpected == ["extra.weight"]
    assert caught.value.mismatched == {"no_mem_embed": ((1, 1, 5), (1, 1, 128))}
    assert "1 missing: no_obj_ptr" in str(caught.value)


def test_many_differences_are_grouped_but_all_can_be_listed(tmp_path):
    state = {name: t for name, t in hollow_state(SMALL).items() if not name.startswith("memory_encoder")}
    with pytest.raises(MismatchError, match=r"memory_encoder\.mask_downsampler\.\* \(18\)") as caught:
        load(written(tmp_path / "net.pt", state))
    listed = caught.value.listing().splitlines()
    assert len(listed) == len(caught.value.missing) == 40


def test_a_file_of_another_family_is_not_forced_into_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    written(tmp_path / "weights" / "edgetam.pt", hollow_state("litemedsam"))
    with pytest.raises(MismatchError, match="is not a complete edgetam"):
        load("edgetam")


def test_a_size_that_the_net_cannot_take_is_refused(tiny):
    with pytest.raises(ModelError, match="multiple of 32"):
        load(tiny(), image_size=500)


def test_sam1_nets_run_at_their_own_size_only(tmp_path):
    with pytest.raises(ModelError, match="256 px and runs at no other size"):
        load(written(tmp_path / "lite.pth", hollow_state("litemedsam")), image_size=512)


@pytest.mark.parametrize("config", ["sam2.1_hiera_large", "efficienttam_s", "edgetam", SMALL, "medsam", "litemedsam"])
def test_configs_survive_json(config):
    assert from_json(to_json(net_config(config))) == net_config(config)


def test_a_config_of_a_later_version_is_refused():
    with pytest.raises(CheckpointError, match="unknown part 'Sam9Config'"):
        from_json('{"type": "Sam9Config"}')


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


def test_check_tells_what_a_file_is(tiny):
    report = check(tiny())
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


def test_check_knows_a_published_file_by_its_hash(monkeypatch, tiny):
    from voxtrace.checkpoints import report
    from voxtrace.checkpoints.download import sha256_of

    path = tiny()
    known = {"medsam2": Registered("medsam2", "", 512, "", "", sha256=sha256_of(path))}
    monkeypatch.setattr(report, "registry", lambda: known)
    assert report.check(path).published_as == "medsam2"


def test_metadata_holds_the_config_as_json(small):
    from voxtrace.checkpoints.reader import read_header

    assert json.loads(read_header(small[0]).metadata["config"])["name"] == SMALL
