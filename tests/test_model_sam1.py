"""SAM 1's nets: MedSAM (ViT-B) against Hugging Face's SamModel, LiteMedSAM (TinyViT) against written-out facts."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import product

import pytest

torch = pytest.importorskip("torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from torch import Tensor, nn  # noqa: E402

from sam2_twins import TOLERANCE, randomise  # noqa: E402
from voxtrace.checkpoints.hugging_face import to_official  # noqa: E402
from voxtrace.errors import ModelError  # noqa: E402
from voxtrace.model.sam1 import LITEMEDSAM, MEDSAM, Sam1, Sam1Config  # noqa: E402
from voxtrace.model.tinyvit import BiasedAttention, TinyVit, TinyVitBlock, TinyVitConfig, window_distances  # noqa: E402
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


def test_litemedsam_has_the_official_key_and_parameter_counts():
    net = Sam1(LITEMEDSAM)
    assert len(net.state_dict()) == 435
    assert sum(p.numel() for p in net.parameters()) == 9_791_300


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("patch_embed.seq.0.c.weight", (32, 3, 1, 1)),
        ("patch_embed.seq.2.bn.running_var", (64,)),
        ("layers.0.blocks.1.conv2.c.weight", (256, 1, 3, 3)),
        ("layers.0.downsample.conv1.c.weight", (128, 64, 1, 1)),
        ("layers.1.blocks.0.attn.attention_biases", (4, 49)),
        ("layers.2.blocks.5.attn.attention_biases", (5, 196)),
        ("layers.2.blocks.5.mlp.norm.weight", (160,)),
        ("layers.2.downsample.conv2.c.weight", (320, 1, 3, 3)),
        ("layers.3.blocks.1.attn.qkv.weight", (960, 320)),
        ("layers.3.blocks.1.local_conv.c.weight", (320, 1, 3, 3)),
        ("layers.3.blocks.1.mlp.fc2.weight", (320, 1280)),
        ("neck.3.bias", (256,)),
    ],
)
def test_tinyvit_has_the_official_names_and_shapes(name, shape):
    with torch.device("meta"):
        state = TinyVit(TinyVitConfig(), 256).state_dict()
    assert state[name].shape == shape


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


def test_litemedsam_makes_a_quarter_size_embedding_and_a_full_size_mask():
    net = Sam1(LITEMEDSAM).eval()
    with torch.inference_mode():
        embedding = net.encode(torch.rand(1, 3, 256, 256))
        masks = net.begin(embedding, 2 * BOXES[:1].unflatten(1, (2, 2)), torch.tensor([[2, 3]]))
    assert embedding.shape == (1, 256, 64, 64)
    assert masks.logits.shape == (1, 4, 256, 256)


SMALL_TINY = TinyVitConfig(32, (8, 16, 20, 24), (1, 1, 1, 1), (2, 4, 5, 6), (3, 3, 5, 3))


def test_in_eval_mode_an_image_does_not_depend_on_the_others_of_its_batch():
    net = TinyVit(SMALL_TINY, 16)
    generator = torch.Generator().manual_seed(6)
    images = torch.rand(3, 3, 32, 32, generator=generator)
    with torch.no_grad():
        net.train()(images)  # moves the batch norms' averages away from 0 and 1
        net.eval()
        assert (net(images)[1:2] - net(images[1:2])).abs().max() < 1e-5


def test_distances_in_a_window_are_counted_row_by_row_whatever_the_direction():
    distances = window_distances(3)
    first, last = 0, 5  # (row 0, column 0) and (row 1, column 2)
    assert distances[first, last] == 1 * 3 + 2
    assert (distances == distances.T).all()
    assert (distances.diagonal() == 0).all()


def test_biased_attention_equals_its_formula_token_by_token():
    attention = _random(BiasedAttention(6, 2, 3), seed=7)
    x = torch.randn(1, 3, 3, 6, generator=torch.Generator().manual_seed(8))
    assert (attention(x) - _by_hand(attention, x[0])).abs().max() < 1e-5


def test_zeros_that_fill_up_a_window_are_normed_and_attended_to():
    block = _random(TinyVitBlock(6, 2, 3), seed=9)
    x = torch.randn(1, 6, 4, 4, generator=torch.Generator().manual_seed(10))
    attended = x.permute(0, 2, 3, 1).clone()
    for row, column in product((0, 3), (0, 3)):
        window = torch.zeros(3, 3, 6)
        part = x[0, :, row : row + 3, column : column + 3].permute(1, 2, 0)
        window[: part.shape[0], : part.shape[1]] = part
        answer = _by_hand(block.attn, window)[: part.shape[0], : part.shape[1]]
        attended[0, row : row + 3, column : column + 3] += answer
    middle = block.local_conv(attended.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    expected = (middle + block.mlp(middle)).permute(0, 3, 1, 2)
    assert (block(x) - expected).abs().max() < 1e-5


def test_the_last_merge_keeps_the_resolution():
    assert TinyVitConfig().embedding_size == 64
    assert replace(TinyVitConfig(), strides=(2, 2, 2)).embedding_size == 32


def _random(net: nn.Module, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.data.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    for name, average in net.named_buffers():
        if name.endswith(("running_mean", "running_var")):  # a variance is positive
            average.copy_(0.5 + torch.rand(average.shape, generator=generator))
    return net.eval().requires_grad_(False)


def _by_hand(attention: nn.Module, x: Tensor) -> Tensor:
    """(window, window, C) -> the same: one head, one query, one key at a time."""
    side, channels = x.shape[0], x.shape[2]
    heads = attention.num_heads
    size = channels // heads
    places = list(product(range(side), range(side)))
    qkv = [attention.qkv(attention.norm(x[place])) for place in places]
    out = torch.zeros(side, side, channels)
    for head in range(heads):
        own = [one[3 * size * head : 3 * size * (head + 1)] for one in qkv]
        for i, (y, x0) in enumerate(places):
            scores = []
            for j, (row, column) in enumerate(places):
                bias = attention.attention_biases[head, abs(y - row) * side + abs(x0 - column)]
                scores.append(own[i][:size] @ own[j][size : 2 * size] / size**0.5 + bias)
            weights = torch.stack(scores).softmax(0)
            values = torch.stack([one[2 * size :] for one in own])
            out[y, x0, head * size : (head + 1) * size] = weights @ values
    return attention.proj(out)
