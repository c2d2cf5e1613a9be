"""Hugging Face's names for SAM, SAM 2 and EdgeTAM weights -> the official ones. One table; see `TABLE`.

Known classes: Sam2Model, Sam2VideoModel, EdgeTamVideoModel (transformers 4.56 to 5.x) and SamModel. Values stay as they
are but for three things: the point embeddings come as one tensor and are cut into four, EdgeTAM's keys and values come
apart and are joined, and the position matrix comes twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from voxtrace.errors import CheckpointError

HEAD = (
    r"^((?:sam_)?mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+|pred_obj_score_head)"
    r"|obj_ptr_proj)"
)


def _downsampler(match: re.Match[str]) -> str:
    """Official: one sequence of convolution, norm and activation, four times."""
    return f"mask_downsampler.encoder.{3 * int(match[1]) + (match[2] == 'layer_norm')}."


# Applied from top to bottom, each once; a later row sees what the earlier ones made. `@0`, `@1` number the parts of a
# tensor that is joined along its first axis.
TABLE: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    # SAM 1: its encoder's names tell it from SAM 2, whose decoder and prompt encoder have a prefix
    (r"^vision_encoder\.(pos_embed|patch_embed)", r"image_encoder.\1"),
    (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"^vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    # image encoder
    (r"^vision_encoder\.backbone\.(?:timm_model\.)?(stem|stages_\d)", r"image_encoder.trunk.body.\1"),
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"^(image_encoder\.trunk\.blocks\.\d+\.mlp)\.proj_in\.", r"\1.layers.0."),
    (r"^(image_encoder\.trunk\.blocks\.\d+\.mlp)\.proj_out\.", r"\1.layers.1."),
    # prompt encoder
    (r"\.shared_embedding\.positional_embedding$", ".pe_layer.positional_encoding_gaussian_matrix"),
    (r"\.point_embed\.(\d)\.", r".point_embeddings.\1."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    # mask decoder
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"(\.transformer\.layers\.\d+\.mlp)\.proj_in\.", r"\1.layers.0."),
    (r"(\.transformer\.layers\.\d+\.mlp)\.proj_out\.", r"\1.layers.1."),
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    # memory and pointers
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"^no_memory_positional_encoding$", "no_mem_pos_enc"),
    (r"^memory_temporal_positional_encoding$", "maskmem_tpos_enc"),
    (r"^no_object_pointer$", "no_obj_ptr"),
    (r"^occlusion_spatial_embedding_parameter$", "no_obj_embed_spatial"),
    (r"^temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
    (r"^object_pointer_proj\.", "obj_ptr_proj."),
    (r"mask_downsampler\.layers\.(\d)\.(conv|layer_norm)\.", _downsampler),
    (r"mask_downsampler\.final_conv\.", "mask_downsampler.encoder.12."),
    (r"^memory_encoder\.feature_projection\.", "memory_encoder.pix_feat_proj."),
    (r"^memory_encoder\.projection\.", "memory_encoder.out_proj."),
    (r"^memory_encoder\.memory_fuser\.", "memory_encoder.fuser."),
    (r"(fuser\.layers\.\d+)\.scale$", r"\1.gamma"),
    (r"\.depthwise_conv\.", ".dwconv."),
    (r"\.pointwise_conv(\d)\.", r".pwconv\1."),
    (r"^(memory_attention\.layers\.\d+)\.mlp\.up_proj\.", r"\1.linear1."),
    (r"^(memory_attention\.layers\.\d+)\.mlp\.down_proj\.", r"\1.linear2."),
    # EdgeTAM's perceiver
    (r"^spatial_perceiver\.latents_1d$", "spatial_perceiver.latents"),
    (r"\.layer_norm_input\.", ".attn.norm_x."),
    (r"\.layer_norm_latents\.", ".attn.norm_latents."),
    (r"\.layer_norm_self\.", ".self_attn.norm."),
    (r"\.cross_attention\.", ".attn."),
    (r"\.self_attention\.", ".self_attn."),
    (r"^(spatial_perceiver\..*attn)\.q_proj\.", r"\1.to_q."),
    (r"^(spatial_perceiver\..*attn)\.k_proj\.(.*)", r"\1.to_kv.\2@0"),
    (r"^(spatial_perceiver\..*attn)\.v_proj\.(.*)", r"\1.to_kv.\2@1"),
    (r"^(spatial_perceiver\..*attn)\.o_proj\.", r"\1.to_out."),
    (r"^(spatial_perceiver\..*\.)(self_)?mlp\.layer_norm\.", r"\1\2ff.0."),
    (r"^(spatial_perceiver\..*\.)(self_)?mlp\.up_proj\.", r"\1\2ff.1."),
    (r"^(spatial_perceiver\..*\.)(self_)?mlp\.down_proj\.", r"\1\2ff.3."),
    # everywhere; heads are perceptrons of three layers
    (HEAD + r"\.layers\.0\.", r"\1.layers.1."),
    (HEAD + r"\.proj_in\.", r"\1.layers.0."),
    (HEAD + r"\.proj_out\.", r"\1.layers.2."),
    (r"\.o_proj\.", ".out_proj."),
    (r"\.layer_norm(\d?)\.", r".norm\1."),
)
RULES = tuple((re.compile(pattern), new) for pattern, new in TABLE)

POINTS = re.compile(r"(.*)\.point_embed\.weight$")  # (4, C) here, four of (1, C) officially
TWIN = "shared_image_embedding.positional_embedding"  # the prompt encoder's own matrix once more
PREFIXED = ("prompt_encoder.", "mask_decoder.")


def is_hugging_face(names: Iterable[str]) -> bool:
    """Whether tensor names are transformers' (of any of the known classes)."""
    return any(name.startswith("vision_encoder.") for name in names)


def official_name(name: str, sam1: bool = False) -> str:
    """The official name of a tensor; `sam1`: the net is SAM 1, whose decoder has no `sam_` prefix."""
    if not sam1 and name.startswith(PREFIXED):
        name = "sam_" + name
    for pattern, new in RULES:
        name = pattern.sub(new, name)
    return name


def is_sam1(names: Iterable[str]) -> bool:
    """Whether transformers' names are those of SamModel."""
    return "vision_encoder.pos_embed" in set(names)


def official_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Names and shapes as they are told apart by: renamed; parts that would be joined or cut keep their own shapes."""
    sam1 = is_sam1(shapes)
    return {official_name(name, sam1): shape for name, shape in shapes.items() if name != TWIN}


def to_official(state: Mapping[str, object]) -> dict[str, object]:
    """Rename a whole state dict, {name: tensor}, cutting and joining where the official layout differs.

    Takes torch tensors or numpy arrays. Raises CheckpointError when the two copies of the position matrix differ: then
    no official net computes what this one does.
    """
    sam1 = is_sam1(state)
    state = dict(state)
    parts: dict[str, dict[int, object]] = {}
    official: dict[str, object] = {}
    twin = state.pop(TWIN, None)
    for name, value in state.items():
        new = official_name(name, sam1)
        if points := POINTS.match(new):
            for index in range(len(value)):  # type: ignore[arg-type]
                official[f"{points[1]}.point_embeddings.{index}.weight"] = value[index : index + 1]  # type: ignore[index]
        elif "@" in new:
            whole, number = new.split("@")
            parts.setdefault(whole, {})[int(number)] = value
        else:
            official[new] = value
    official.update((whole, _joined([found[i] for i in sorted(found)])) for whole, found in parts.items())
    return _with_position(official, twin, sam1)


def _with_position(official: dict[str, object], twin: object | None, sam1: bool) -> dict[str, object]:
    name = f"{'' if sam1 else 'sam_'}prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    if twin is None:
        return official
    if name not in official:  # saved with tied weights: only one of the two is in the file
        return {**official, name: twin}
    if not bool((official[name] == twin).all()):  # type: ignore[attr-defined]
        raise CheckpointError(
            f"{TWIN} and the prompt encoder's own position matrix differ; the official net has one for both, so it "
            "cannot compute what this file's net does"
        )
    return official


def _joined(parts: list[object]) -> object:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)  # type: ignore[arg-type]
    import torch

    return torch.cat(parts)  # type: ignore[arg-type]
