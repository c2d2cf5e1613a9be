"""For the parity tests: SAM 2 of ours and of Hugging Face with the same random weights, a film, and prompts on it.

Prompts are given in pixel indices, as Hugging Face and the official code take them; `marks` turns them into ours.
Frames have the net's size, so that the two ways to scale coordinates coincide.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from voxtrace.checkpoints.hugging_face import to_official
from voxtrace.courses import EDGE, Course
from voxtrace.engines.batching import MEAN, STD
from voxtrace.engines.torch import TorchEngine
from voxtrace.feature_cache import FeatureCache
from voxtrace.memory import Fifo
from voxtrace.model.config import CONFIGS, Sam2Config
from voxtrace.model.hiera import HieraConfig
from voxtrace.model.mask_decoder import resize
from voxtrace.model.sam2 import Sam2
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt
from voxtrace.tracking import Tracked, Walk, begin, propagate
from voxtrace.view import Whole

os.environ["HF_HUB_OFFLINE"] = "1"  # transformers would look for the network, and wait for it

TOLERANCE = 1e-4
Objects = Mapping[int, Mapping[int, FramePrompt]]  # name -> {frame: prompt}
Masks = dict[int, tuple[np.ndarray, np.ndarray]]  # frame -> logits (N, S, S), object scores (N,)
# Four stages with pooled, windowed, padded (14 in a map of 8, 7 in one of 4) and global blocks; the heads double.
SMALL_TRUNK = HieraConfig(32, 1, (1, 2, 2, 1), (4,))


def small_config(version: str = "2.1", image_size: int = 128) -> Sam2Config:
    """SAM 2 or 2.1 with a small trunk; everything behind the trunk is as released."""
    name = {"2.1": "sam2.1_hiera_tiny", "2.0": "sam2_hiera_tiny"}[version]
    return replace(CONFIGS[name], name=f"small-{version}", trunk=SMALL_TRUNK, image_size=image_size)


@dataclass(frozen=True)
class Twins:
    """ours: Sam2; image and video: Hugging Face's Sam2Model and Sam2VideoModel. All three have the same weights."""

    ours: Sam2
    image: nn.Module
    video: nn.Module


def build_twins(config: Sam2Config, seed: int = 0, present: float = 0.0) -> Twins:
    """Random weights in all three, ours loaded strictly through the table of Hugging Face names.

    present: bias of the object score; it decides on which frames the object is held to be there.
    """
    video, image = _hugging_face(config)
    randomise(video, seed)
    state = video.state_dict()
    state["shared_image_embedding.positional_embedding"].copy_(
        state["prompt_encoder.shared_embedding.positional_embedding"]
    )
    state["mask_decoder.pred_obj_score_head.proj_out.weight"].mul_(10)  # so that frames and prompts tell
    state["mask_decoder.pred_obj_score_head.proj_out.bias"].fill_(present)
    image.load_state_dict({name: state[name] for name in image.state_dict()})
    ours = Sam2(config).eval().requires_grad_(False)
    ours.load_state_dict(to_official(state), strict=True)
    # Differs from SAM 2: for a given mask, Hugging Face makes the pointer from the best of three tokens; the official
    # code, which we follow, from the first.
    single = video._single_frame_forward
    video._single_frame_forward = lambda **given: single(**{"multimask_output": False, **given})
    return Twins(ours, image, video)


def build_ours(config: Sam2Config, seed: int = 0, present: float = 0.0) -> Sam2:
    """Our net alone with random weights; `present` as in `build_twins`."""
    ours = Sam2(config).eval().requires_grad_(False)
    randomise(ours, seed)
    last = ours.sam_mask_decoder.pred_obj_score_head.layers[-1]
    last.weight.mul_(10)
    last.bias.fill_(present)
    return ours


def randomise(net: nn.Module, seed: int) -> None:
    """Weights large enough that every part leaves its mark on the masks: norms, biases, embeddings, scales too."""
    generator = torch.Generator().manual_seed(seed)
    for part, module in net.named_modules():
        linear = isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
        values = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
        kept = module.state_dict().keys()  # fixed tables are not part of the state
        for name in (name for name in values if name in kept):
            value = values[name]
            noise = torch.randn(value.shape, generator=generator)
            if name == "bias":
                value.data.copy_(0.2 * noise)
            elif linear:
                sharp = 2 if part.endswith(("q_proj", "k_proj")) else 1  # so that attention chooses, not averages
                value.data.copy_(sharp * noise / value[0].numel() ** 0.5)
            elif name == "weight" and value.ndim == 1:
                value.data.copy_(1 + 0.2 * noise)
            else:
                value.data.copy_(0.5 * noise)


def _hugging_face(config: Sam2Config) -> tuple[nn.Module, nn.Module]:
    """(Sam2VideoModel, Sam2Model) of the same shape as `config`."""
    import transformers

    trunk, side = config.trunk, config.image_size
    assert isinstance(trunk, HieraConfig)
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=trunk.embed_dim,
        num_attention_heads=trunk.num_heads,
        image_size=[side, side],
        window_positional_embedding_background_size=list(trunk.position_grid),
        blocks_per_stage=list(trunk.stages),
        embed_dim_per_stage=list(trunk.channels),
        num_attention_heads_per_stage=[trunk.num_heads * 2**stage for stage in range(4)],
        window_size_per_stage=list(trunk.windows),
        global_attention_blocks=list(trunk.global_blocks),
    )
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=list(reversed(trunk.channels)),
        backbone_feature_sizes=[[side // stride] * 2 for stride in (4, 8, 16)],
    )
    prompts = {"image_size": side}
    video = transformers.Sam2VideoModel(
        transformers.Sam2VideoConfig(
            vision_config=vision,
            prompt_encoder_config=prompts,
            image_size=side,
            memory_attention_rope_feat_sizes=[side // 16] * 2,
            enable_occlusion_spatial_embedding=config.version_2_1,
            enable_temporal_pos_encoding_for_object_pointers=config.version_2_1,
        )
    )
    image = transformers.Sam2Model(transformers.Sam2Config(vision_config=vision, prompt_encoder_config=prompts))
    return video.eval().requires_grad_(False), image.eval().requires_grad_(False)


def film(frames: int, side: int, seed: int = 7) -> list[np.ndarray]:
    """`frames` pictures (side, side, 3) uint8: a bright disc that crosses drifting coarse noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 16, 16 + frames, generator=generator) * 150
    rows, columns = np.mgrid[:side, :side] / side
    pictures = []
    for time in range(frames):
        shown = nn.functional.interpolate(coarse[..., time : time + 16], size=(side, side), mode="bilinear")
        picture = shown[0].permute(1, 2, 0).numpy().copy()
        picture[(rows - 0.55) ** 2 + (columns - 0.3 - 0.02 * time) ** 2 < 0.03] += 90
        pictures.append(picture.astype(np.uint8))
    return pictures


def pixels(pictures: Sequence[np.ndarray]) -> Tensor:
    """(T, 3, S, S): the film as Hugging Face's processor would hand it to its net."""
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def marks(*points: tuple[float, float, int], box: tuple[float, float, float, float] | None = None) -> FramePrompt:
    """Clicks (x, y, label) and a box (x0, y0, x1, y1), both in pixel indices, the box's last ones included."""
    corners = [] if box is None else [(*box[:2], BOX_START), (*box[2:], BOX_STOP)]
    given = [*corners, *points]
    shift = {BOX_START: 0.0, BOX_STOP: 1.0}
    places = [(x + shift.get(label, 0.5), y + shift.get(label, 0.5)) for x, y, label in given]
    return FramePrompt(np.float32(places), np.int32([label for *_, label in given]))


def band(side: int, low: float = 0.3, high: float = 0.6) -> FramePrompt:
    """A mask prompt that SAM 2's quarter size keeps whole: rows low..high, from edge to edge, on whole blocks of 4.

    Differs from SAM 2: Hugging Face remembers a given mask at full size; the official predictor, which we follow, a
    mask that went through a quarter of the size and back. On this one both agree.
    """
    mask = np.zeros((side, side), bool)
    mask[4 * round(side * low / 4) : 4 * round(side * high / 4)] = True
    return FramePrompt(mask=mask)


def pixel_indices(prompt: FramePrompt) -> tuple[Tensor, Tensor]:
    """Points (1, P, 2) in pixel indices and labels (1, P), the inverse of `marks`."""
    shift = np.select([prompt.labels == BOX_START, prompt.labels == BOX_STOP], [0.0, 1.0], 0.5)[:, None]
    return torch.from_numpy(np.float32(prompt.points_xy - shift))[None], torch.from_numpy(prompt.labels)[None]


@contextmanager
def memories_in_full_precision() -> Iterator[None]:
    """Within, Hugging Face and the official code keep memories in float32; they would round them to bfloat16."""
    with mock.patch.object(torch, "bfloat16", torch.float32):
        yield


def our_masks(
    engine: TorchEngine, pictures: Sequence[np.ndarray], objects: Objects, start: int, reverse: bool = False
) -> Masks:
    """The film's masks by the product's own path: engine, FIFO memory, the one loop."""
    features = FeatureCache(engine, pictures, size=len(pictures))
    begun: list[Tracked] = []
    for frame in sorted({frame for prompts in objects.values() for frame in prompts}):
        here = {name: prompts[frame] for name, prompts in objects.items() if frame in prompts}
        begun += begin(features, frame, Whole(), here)
    step, order = (-1, range(start, -1, -1)) if reverse else (1, range(start, len(pictures)))
    walks = []
    for name in objects:
        marked = [t for t in begun if t.object == name]
        walks.append(Walk(name, marked, Course(start, step, order, EDGE)))
    followed = [t for t in propagate(features, walks, Fifo()) if isinstance(t, Tracked)]
    found = {(t.frame, t.object): t for t in [*begun, *followed]}
    return {
        frame: (
            np.stack([found[frame, name].logits for name in objects]),
            np.array([found[frame, name].object_score for name in objects]),
        )
        for frame in order
    }


def hugging_face_masks(
    video: nn.Module, pictures: Sequence[np.ndarray], objects: Objects, start: int, reverse: bool = False
) -> Masks:
    """The film's masks by Hugging Face's Sam2VideoModel. All objects must be prompted on the same frames: it cannot
    follow an object on a frame where another is prompted unless the first was prompted before."""
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    side = pictures[0].shape[0]
    session = Sam2VideoInferenceSession(pixels(pictures), side, side, dtype=torch.float32)
    names = {name: session.obj_id_to_idx(name) for name in objects}
    for frame in sorted({frame for prompts in objects.values() for frame in prompts}):
        for name, prompts in objects.items():
            if frame in prompts:
                _prompt(session, names[name], frame, prompts[frame])
                session.obj_with_new_inputs.append(name)
        video(inference_session=session, frame_idx=frame)
    answers = video.propagate_in_video_iterator(session, start_frame_idx=start, reverse=reverse)
    return {
        a.frame_idx: (resize(a.pred_masks, side)[:, 0].numpy(), a.object_score_logits.flatten().numpy())
        for a in answers
    }


def _prompt(session: object, index: int, frame: int, prompt: FramePrompt) -> None:
    if prompt.mask is not None:
        session.add_mask_inputs(index, frame, torch.from_numpy(prompt.mask)[None, None])  # type: ignore[attr-defined]
        return
    points, labels = pixel_indices(prompt)
    inputs = {"point_coords": points[None], "point_labels": labels[None]}
    session.add_point_inputs(index, frame, inputs)  # type: ignore[attr-defined]


def worst(ours: Masks, theirs: Masks, given: Objects) -> float:
    """Largest difference of any logit or object score. A given mask is compared as a mask, but for 1% of its pixels:
    ours comes back voxel by voxel, theirs through a quarter of the size."""
    assert list(ours) == list(theirs)
    differences = []
    for frame, (logits, scores) in ours.items():
        their_logits, their_scores = theirs[frame]
        differences.append(np.abs(scores - their_scores).max())
        for index, prompts in enumerate(given.values()):
            if frame in prompts and prompts[frame].mask is not None:
                assert ((logits[index] > 0) == (their_logits[index] > 0)).mean() > 0.99
            else:
                differences.append(np.abs(logits[index] - their_logits[index]).max())
    return float(max(differences))
