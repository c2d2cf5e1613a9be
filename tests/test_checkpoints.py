"""From a name or a file to a net: telling families apart, image sizes, strict loads."""

from functools import partial

import pytest

torch = pytest.importorskip("torch")

from hollow import hollow_state, sam21_tiny, written  # noqa: E402
from voxtrace.checkpoints import MismatchError, load, registry, resolve  # noqa: E402
from voxtrace.checkpoints.nets import from_json, net_config, to_json  # noqa: E402
from voxtrace.checkpoints.sniff import sniff  # noqa: E402
from voxtrace.errors import CheckpointError, ModelError  # noqa: E402

pytestmark = pytest.mark.torch

FAMILIES = sorted({model.config for model in registry().values() if model.config})
SMALL = "voxtrace-small"


@pytest.fixture
def tiny(tmp_path):
    """A function that writes a file with the tensors of SAM 2.1 tiny, which are MedSAM2's too."""
    return partial(sam21_tiny, tmp_path)


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
