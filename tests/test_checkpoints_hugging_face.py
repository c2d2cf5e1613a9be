"""Hugging Face's names: the transformers classes themselves, with random weights, load strictly into our nets."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402

from hollow import hollow_state  # noqa: E402
from voxtrace.checkpoints import MismatchError, load, resolve  # noqa: E402
from voxtrace.checkpoints.hugging_face import TABLE, TWIN, is_hugging_face, to_official  # noqa: E402
from voxtrace.checkpoints.nets import build, net_config  # noqa: E402
from voxtrace.errors import CheckpointError  # noqa: E402
from voxtrace.model.config import RepVitConfig  # noqa: E402

pytestmark = pytest.mark.torch

OWN_MATRIX = "prompt_encoder.shared_embedding.positional_embedding"
POINTS = "prompt_encoder.point_embed.weight"
CROSS = "spatial_perceiver.layers.1.cross_attention"


def tied(net):
    """The state dict with both copies of the position matrix alike, as in every published file."""
    state = net.state_dict()
    state[TWIN] = state[OWN_MATRIX].clone()
    return state


@pytest.fixture(scope="module")
def video_state():
    torch.manual_seed(3)
    return tied(transformers.Sam2VideoModel(transformers.Sam2VideoConfig()))


@pytest.fixture(scope="module")
def edgetam_state():
    """EdgeTamVideoModel's own parts with a small RepViT of ours, named as timm's, in the place of its backbone."""
    torch.manual_seed(3)
    config = transformers.EdgeTamVideoConfig(
        enable_occlusion_spatial_embedding=False, enable_temporal_pos_encoding_for_object_pointers=False
    )
    state = tied(transformers.EdgeTamVideoModel(config))
    state = {name: value for name, value in state.items() if not name.startswith("vision_encoder.")}
    for name, value in build(small_edgetam()).state_dict().items():
        if name.startswith("image_encoder.trunk.body."):
            state[name.replace("image_encoder.trunk.body.", "vision_encoder.backbone.timm_model.")] = value
        elif name.startswith("image_encoder.neck."):
            state[name.replace("image_encoder", "vision_encoder").replace(".conv.", ".")] = value
    return state


def small_edgetam():
    return replace(net_config("edgetam"), trunk=RepVitConfig(widths=(8, 8, 16, 16), depths=(1, 1, 2, 1)))


def test_sam2_video_loads_strictly_with_every_tensor_used(video_state):
    official = to_official(video_state)
    build(net_config("sam2.1_hiera_tiny")).load_state_dict(official, strict=True)
    used = sum(value.numel() for value in official.values())
    assert used == sum(value.numel() for name, value in video_state.items() if name != TWIN)


def test_a_sam2_video_file_is_told_and_loaded(video_state, tmp_path):
    save_file({name: value.contiguous() for name, value in video_state.items()}, tmp_path / "model.safetensors")
    assert resolve(tmp_path / "model.safetensors").config == "sam2.1_hiera_tiny"
    net = load(tmp_path / "model.safetensors", image_size=512)
    assert torch.equal(net.sam_prompt_encoder.point_embeddings[2].weight, video_state[POINTS][2:3])


def test_sam2_image_names_are_all_known_and_the_missing_half_is_said(tmp_path):
    state = tied(transformers.Sam2Model(transformers.Sam2Config()))
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "image.safetensors")
    with pytest.raises(MismatchError, match="holds the image half only") as caught:
        load(tmp_path / "image.safetensors")
    assert caught.value.unexpected == []
    assert caught.value.mismatched == {}


def test_edgetam_video_loads_strictly_with_every_tensor_used(edgetam_state):
    official = to_official(edgetam_state)
    build(small_edgetam()).load_state_dict(official, strict=True)
    used = sum(value.numel() for value in official.values())
    assert used == sum(value.numel() for name, value in edgetam_state.items() if name != TWIN)


def test_keys_come_before_values_where_they_are_joined(edgetam_state):
    joined = to_official(edgetam_state)["spatial_perceiver.layers.1.attn.to_kv.weight"]
    keys, values = joined.chunk(2)
    assert torch.equal(keys, edgetam_state[f"{CROSS}.k_proj.weight"])
    assert torch.equal(values, edgetam_state[f"{CROSS}.v_proj.weight"])


def test_sam1_loads_strictly():
    with torch.device("meta"):
        shapes = tied(transformers.SamModel(transformers.SamConfig()))
    state = {name: torch.zeros(()).expand(value.shape) for name, value in shapes.items()}
    build(net_config("medsam")).load_state_dict(to_official(state), strict=True)


def test_a_file_with_one_of_the_twin_matrices_is_whole(video_state):
    alone = {name: value for name, value in video_state.items() if name != OWN_MATRIX}
    assert to_official(alone).keys() == to_official(video_state).keys()


def test_twin_matrices_that_differ_are_refused(video_state):
    with pytest.raises(CheckpointError, match="differ"):
        to_official({**video_state, TWIN: video_state[TWIN] + 1})


@pytest.mark.parametrize("config", ["sam2.1_hiera_tiny", "edgetam", "medsam", "litemedsam"])
def test_official_names_are_not_taken_for_hugging_faces(config):
    assert not is_hugging_face(hollow_state(config))


def test_no_row_of_the_table_is_there_twice():
    patterns = [pattern for pattern, _ in TABLE]
    assert len(patterns) == len(set(patterns))
