"""MedSAM (SAM 1 with ViT-B) against Hugging Face's SamModel."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from torch import Tensor, nn  # noqa: E402

from sam2_twins import TOLERANCE, randomise  # noqa: E402
from voxtrace.checkpoints.hugging_face import to_official  # noqa: E402
from voxtrace.errors import ModelError  # noqa: E402
from voxtrace.model.sam1 import MEDSAM, Sam1, Sam1Config  # noqa: E402
from voxtrace.model.vit_sam1 import Sam1VitConfig  # noqa: E402

pytestmark = pytest.mark.torch

# 8 x 8 tokens in windows of 3 (filled up to 9 x 9), and one block that sees the whole map.
SMALL = Sam1Config("small", Sam1VitConfig(128, 24, 2, depth=3, global_blocks=(1,), window=3), dim=32, mlp_dim=48)


@dataclass(frozen=True)
class Twins:
    """Our net and Hugging Face's SamModel with the same random weights."""

    ours: Sam1
    theirs: nn.Module


def build_twins(config: Sam1Config, seed: int) -> Twins:
    import transformers

    vit = config.encoder
    assert isinstance(vit, Sam1VitConfig)
    vision = {
        "hidden_size": vit.embed_dim,
        "num_hidden_layers": vit.depth,
        "num_attention_heads": vit.num_heads,
        "image_size": vit.image_size,
        "window_size": vit.window,
        "global_attn_indexes": list(vit.global_blocks),
        "output_channels": config.dim,
        "num_pos_feats": config.dim // 2,
    }
    decoder = {
        "hidden_size": config.dim,
        "mlp_dim": config.mlp_dim,
        "iou_head_hidden_dim": config.iou_hidden,
        # Hugging Face's default is 1e-6; the official two-way transformer has PyTorch's 1e-5.
        "layer_norm_eps": 1e-5,
    }
    prompts = {"hidden_size": config.dim, "image_size": vit.image_size}
    theirs = transformers.SamModel(
        transformers.SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    )
    randomise(theirs, seed)
    state = theirs.state_dict()
    state["shared_image_embedding.positional_embedding"].copy_(
        state["prompt_encoder.shared_embedding.positional_embedding"]
    )
    ours = Sam1(config)
    ours.load_state_dict(to_official(state), strict=True)
    return Twins(ours.eval().requires_grad_(False), theirs.eval().requires_grad_(False))


@pytest.fixture(scope="module")
def twins() -> Twins:
    return build_twins(SMALL, seed=1)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))


@dataclass(frozen=True)
class Prompt:
    """Two objects: points (2, P, 2) in pixels with labels (2, P), boxes (2, 4), either may be missing."""

    points: Tensor | None = None
    labels: Tensor | None = None
    boxes: Tensor | None = None

    def for_ours(self) -> tuple[Tensor, Tensor]:
        xy, labels = [], []
        if self.boxes is not None:
            xy.append(self.boxes.unflatten(1, (2, 2)))
            labels.append(torch.tensor([[2, 3], [2, 3]]))
        if self.points is not None and self.labels is not None:
            xy.append(self.points)
            labels.append(self.labels)
        return torch.cat(xy, dim=1), torch.cat(labels, dim=1)

    def for_theirs(self) -> dict[str, Tensor]:
        given = {"input_points": self.points, "input_labels": self.labels, "input_boxes": self.boxes}
        return {name: value[None] for name, value in given.items() if value is not None}


BOXES = torch.tensor([[10.0, 20.0, 70.0, 90.0], [64.5, 3.0, 120.0, 44.0]])
POINTS = torch.tensor([[[30.0, 40.0], [100.0, 9.0], [64.0, 64.0]], [[90.0, 20.0], [80.0, 30.5], [1.0, 127.0]]])
LABELS = torch.tensor([[1, 0, 1], [1, 1, 0]])
PROMPTS = {
    "boxes": Prompt(boxes=BOXES),
    "one click": Prompt(POINTS[:, :1], LABELS[:, :1]),
    "clicks": Prompt(POINTS, LABELS),
    "boxes and clicks": Prompt(POINTS, LABELS, BOXES),
}


def test_medsam_has_the_official_key_and_parameter_counts():
    with torch.device("meta"):
        net = Sam1(MEDSAM)
    assert len(net.state_dict()) == 314
    assert sum(p.numel() for p in net.parameters()) == 93_735_472
    assert net.state_dict()["image_encoder.pos_embed"].shape == (1, 64, 64, 768)
    assert net.state_dict()["image_encoder.blocks.2.attn.rel_pos_w"].shape == (127, 64)
    assert net.state_dict()["image_encoder.blocks.3.attn.rel_pos_h"].shape == (27, 64)


def test_embedding_equals_hugging_face(twins, image):
    theirs = twins.theirs.get_image_embeddings(image)
    assert theirs.std() > 0.1
    assert (twins.ours.encode(image) - theirs).abs().max() <= TOLERANCE


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_masks_and_iou_equal_hugging_face(twins, image, prompt, multimask):
    embedding = twins.ours.encode(image)
    theirs = twins.theirs(image_embeddings=embedding, multimask_output=multimask, **prompt.for_theirs())
    ours = twins.ours.begin(embedding, *prompt.for_ours())
    kept = slice(1, None) if multimask else slice(0, 1)
    # Were the two objects' masks alike, equality would say little of the prompts.
    assert (theirs.pred_masks[0, 0] - theirs.pred_masks[0, 1]).abs().max() > 100 * TOLERANCE
    assert (ours.logits[:, kept] - theirs.pred_masks[0]).abs().max() <= TOLERANCE
    assert (ours.iou[:, kept] - theirs.iou_scores[0]).abs().max() <= TOLERANCE


def test_a_mask_as_hint_equals_hugging_face(twins, image):
    hint = 10 * torch.randn(1, 1, 32, 32, generator=torch.Generator().manual_seed(3))
    embedding = twins.ours.encode(image)
    theirs = twins.theirs(
        image_embeddings=embedding, input_boxes=BOXES[None, :1], input_masks=hint, multimask_output=False
    )
    ours = twins.ours.begin(embedding, BOXES[:1].unflatten(1, (2, 2)), torch.tensor([[2, 3]]), hint)
    assert (ours.logits[:, :1] - theirs.pred_masks[0]).abs().max() <= TOLERANCE


@pytest.mark.slow
def test_medsam_in_its_real_size_equals_hugging_face():
    twins = build_twins(MEDSAM, seed=4)
    image = torch.rand(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(5))
    prompt = Prompt(boxes=8 * BOXES)
    embedding = twins.theirs.get_image_embeddings(image)
    theirs = twins.theirs(image_embeddings=embedding, multimask_output=False, **prompt.for_theirs())
    assert (twins.ours.encode(image) - embedding).abs().max() <= TOLERANCE
    ours = twins.ours.begin(embedding, *prompt.for_ours())
    assert (theirs.pred_masks[0, 0] - theirs.pred_masks[0, 1]).abs().max() > 100 * TOLERANCE
    assert (ours.logits[:, :1] - theirs.pred_masks[0]).abs().max() <= TOLERANCE


def test_objects_with_and_without_a_box_are_refused_together(twins, image):
    labels = torch.tensor([[2, 3], [1, 1]])
    with pytest.raises(ModelError, match="with and without a box"):
        twins.ours.begin(twins.ours.encode(image), POINTS[:, :2], labels)
