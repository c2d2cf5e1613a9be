"""For the parity test of EdgeTAM: Hugging Face's net with random weights, and a walk of ours beside it, compared.

Hugging Face takes the trunk from timm, which is not installed; ours stands in for it there (RepViT has its own test).
The walk here is SAM 2's: all prompted frames, the six frames behind, the pointers of the past.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sam2_twins import randomise
from voxtrace.model.repvit import RepVitConfig
from voxtrace.model.sam2 import Encoded, Heads, Sam2

SIZE = 512  # memory maps of 32 x 32: the perceiver's windows hold 2 x 2 tokens
FRAMES = 12
PRESENT, GONE = 1.0, -3.0  # biases of the object score with which objects are held to be there, or not, when followed
SHARPNESS = 2.0
TRUNK = RepVitConfig(widths=(16, 24, 32, 48), depths=(1, 1, 2, 1))


def build_oracle() -> nn.Module:
    """EdgeTamVideoModel with random weights and a small trunk of ours in the place of timm's, names as timm's."""
    transformers = pytest.importorskip("transformers")

    class TrunkConfig(transformers.PreTrainedConfig):
        model_type = "voxtrace_repvit"

    class Trunk(transformers.PreTrainedModel):
        config_class = TrunkConfig

        def __init__(self, config: TrunkConfig) -> None:
            super().__init__(config)
            trunk = TRUNK.build()
            self.timm_model = trunk.body
            self.maps = [trunk]  # in a list, so that the weights do not appear twice
            self.post_init()

        def forward(self, pixel_values: Tensor, **_: object) -> SimpleNamespace:
            return SimpleNamespace(last_hidden_state=self.maps[0](pixel_values), hidden_states=None)

    transformers.AutoConfig.register("voxtrace_repvit", TrunkConfig, exist_ok=True)
    transformers.AutoModel.register(TrunkConfig, Trunk, exist_ok=True)
    vision = transformers.EdgeTamVisionConfig(
        backbone_config=TrunkConfig(),
        backbone_channel_list=list(reversed(TRUNK.widths)),
        backbone_feature_sizes=[[SIZE // stride] * 2 for stride in (4, 8, 16)],
    )
    config = transformers.EdgeTamVideoConfig(
        vision_config=vision,
        image_size=SIZE,
        prompt_encoder_config={"image_size": SIZE},
        memory_attention_rope_feat_sizes=[SIZE // 16] * 2,
        # The class's defaults are SAM 2.1's; the released EdgeTAM has neither.
        enable_occlusion_spatial_embedding=False,
        enable_temporal_pos_encoding_for_object_pointers=False,
    )
    oracle = transformers.EdgeTamVideoModel(config).eval().requires_grad_(False)
    give_weights(oracle)
    # Differs from SAM 2: for a given mask, Hugging Face makes the pointer from the best of three tokens; the official
    # code, which we follow, from the first.
    single = oracle._single_frame_forward
    oracle._single_frame_forward = lambda **given: single(**{"multimask_output": False, **given})
    # A slip in transformers 5.23: the score of a given mask lacks an axis, so that a mask and clicks cannot be joined.
    copied = oracle._use_mask_as_output
    oracle._use_mask_as_output = lambda *given: with_score_axis(copied(*given))
    return oracle


def with_score_axis(output: Any) -> Any:
    output.object_score_logits = output.object_score_logits.reshape(1, 1, 1)
    return output


def give_weights(oracle: nn.Module) -> None:
    """Random weights, but a variance stays positive, rotary places count, and the position matrix is one."""
    fixed = {name: value.clone() for name, value in oracle.named_buffers() if "position_ids" in name}
    randomise(oracle, seed=3)
    for name, value in oracle.named_buffers():
        if name in fixed:
            value.copy_(fixed[name])
        if name.endswith("running_var"):
            value.copy_(2 + value.square())
    state = oracle.state_dict()
    matrix = state["prompt_encoder.shared_embedding.positional_embedding"]
    state["shared_image_embedding.positional_embedding"].copy_(matrix)
    state["mask_decoder.pred_obj_score_head.proj_out.bias"].fill_(PRESENT)
    for name, value in state.items():
        if "cross_attn_image." in name:  # memories are many: attention must be sharp for one of them to count
            value.mul_(SHARPNESS)


@dataclass(frozen=True)
class Prompt:
    """Points (1, P, 2) with labels (1, P), or a mask (1, 1, S, S), of one object on one frame."""

    frame: int
    points_xy: Tensor | None = None
    labels: Tensor | None = None
    mask: Tensor | None = None


def clicks(frame: int, *points: tuple[float, float, int]) -> Prompt:
    """Points (x, y, label)."""
    xy = torch.tensor([[point[:2] for point in points]])
    return Prompt(frame, xy, torch.tensor([[point[2] for point in points]], dtype=torch.int32))


def box(frame: int, x0: float, y0: float, x1: float, y1: float) -> Prompt:
    return clicks(frame, (x0, y0, 2), (x1, y1, 3))


def disc(frame: int, x: int, y: int, radius: int) -> Prompt:
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return Prompt(frame, mask=((rows - y) ** 2 + (columns - x) ** 2 < radius**2).float()[None, None])


class Walker:
    """One object followed by our net as SAM 2 does."""

    def __init__(self, net: Sam2, encoded: list[Encoded]) -> None:
        self.net, self.encoded = net, encoded
        self.prompted: dict[int, tuple[Tensor, Tensor]] = {}
        self.followed: dict[int, tuple[Tensor, Tensor]] = {}
        self.answers: dict[int, Heads] = {}

    def prompt(self, prompt: Prompt) -> None:
        encoded = self.encoded[prompt.frame]
        if prompt.mask is not None:
            heads = self.net.begin_with_mask(encoded, prompt.mask)
            full = prompt.mask * 20 - 10
        else:
            heads = self.net.begin(encoded, prompt.points_xy, prompt.labels)
            full = heads.logits
        memory = self.net.remember(encoded, full, heads.object_score, certain=True)
        self.prompted[prompt.frame] = memory, heads.pointer
        self.answers[prompt.frame] = heads

    def walk(self, start: int, step: int) -> Iterator[tuple[int, Heads]]:
        for frame in range(start, FRAMES if step > 0 else -1, step):
            if frame not in self.prompted:
                self._follow(frame, step)
            yield frame, self.answers[frame]

    def _follow(self, frame: int, step: int) -> None:
        behind = [(age, frame - step * age) for age in range(FRAMES)]
        memories = [(memory, 0) for memory, _ in self.prompted.values()]
        memories += [(self.followed[at][0], age) for age, at in reversed(behind[1:7]) if at in self.followed]
        pointers = [
            (pointer, (frame - at) * step) for at, (_, pointer) in self.prompted.items() if (frame - at) * step >= 0
        ]
        pointers += [(self.followed[at][1], age) for age, at in behind[1:] if at in self.followed]
        encoded = self.encoded[frame]
        heads = self.net.follow(encoded, self.net.recall(memories, pointers))
        memory = self.net.remember(encoded, heads.logits, heads.object_score, certain=False)
        self.followed[frame] = memory, heads.pointer
        self.answers[frame] = heads


def open_session(oracle: nn.Module, video: Tensor, objects: dict[int, list[Prompt]]) -> object:
    """Hugging Face's session with every prompt given, in the order of the frames."""
    module = pytest.importorskip("transformers.models.edgetam_video.modeling_edgetam_video")
    session = module.EdgeTamVideoInferenceSession(video=video, video_height=SIZE, video_width=SIZE, dtype=torch.float32)
    session.cache.max_vision_features_cache_size = FRAMES
    indices = {name: session.obj_id_to_idx(name) for name in objects}
    for frame in sorted({prompt.frame for prompts in objects.values() for prompt in prompts}):
        for name, prompts in objects.items():
            for prompt in (p for p in prompts if p.frame == frame):
                if prompt.mask is not None:
                    session.add_mask_inputs(indices[name], frame, prompt.mask)
                else:
                    given = {"point_coords": prompt.points_xy[None], "point_labels": prompt.labels[None]}
                    session.add_point_inputs(indices[name], frame, given)
                session.obj_with_new_inputs.append(name)
        oracle(inference_session=session, frame_idx=frame)
    return session


@dataclass
class Comparison:
    """Largest differences over the frames of walks, and whether the object was seen there, gone, or both."""

    masks: float = 0.0
    scores: float = 0.0
    kept: float = 0.0  # memories and pointers
    compared: int = 0
    seen: set[bool] = field(default_factory=set)


def compare(
    net: Sam2, oracle: nn.Module, video: Tensor, encoded: list[Encoded], objects: dict[int, list[Prompt]], start: int
) -> Comparison:
    """Walk from `start` to the end, then back to the beginning, beside Hugging Face."""
    walkers = []
    for prompts in objects.values():
        walker = Walker(net, encoded)
        for prompt in prompts:
            walker.prompt(prompt)
        walkers.append(walker)
    session = open_session(oracle, video, objects)
    found = Comparison()
    for step in (1, -1) if start else (1,):
        theirs = oracle.propagate_in_video_iterator(session, start_frame_idx=start, reverse=step < 0)
        for answer, *ours in zip(theirs, *(walker.walk(start, step) for walker in walkers), strict=True):
            for index, (frame, heads) in enumerate(ours):
                assert frame == answer.frame_idx
                found.masks = max(found.masks, distance(heads.logits[0, 0], answer.pred_masks[index, 0]))
                scores = heads.object_score.flatten(), answer.object_score_logits[index].flatten()
                found.scores = max(found.scores, distance(*scores))
                found.compared += 1
                found.seen.add(bool(heads.object_score > 0))
    for index, walker in enumerate(walkers):
        outputs = session.output_dict_per_obj[index]
        theirs = {**outputs["cond_frame_outputs"], **outputs["non_cond_frame_outputs"]}
        for frame, (memory, pointer) in {**walker.prompted, **walker.followed}.items():
            found.kept = max(found.kept, distance(memory, theirs[frame]["maskmem_features"]))
            found.kept = max(found.kept, distance(pointer, theirs[frame]["object_pointer"][0]))
    return found


def distance(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())
