"""The Engine of MedSAM and LiteMedSAM on PyTorch: single images, boxes only.

Both nets were trained with one box an object and nothing else, so nothing else is passed on to them. They have no
memory: to follow an object is to ask the next slice with the box of the last mask (carrying.py). A frame's grey
values are stretched to [0, 1] after scaling. MedSAM sees the frame squashed to its square; LiteMedSAM sees it scaled by
its longest side, with zeros at the right and lower edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from voxtrace.engine import Decoded, Entry, Features, Recalled
from voxtrace.engines.carrying import box_of, carried, entries
from voxtrace.engines.torch import pick_device
from voxtrace.engines.torch_packing import Identity, pack_tensors, unpack_tensors
from voxtrace.errors import ModelError, PromptError
from voxtrace.hashing import SeenFile
from voxtrace.model.mask_decoder import resize
from voxtrace.model.sam1 import Sam1
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt

BOXES_AT_ONCE = 16  # some 60 MB of decoder maps each
GIVEN_LOGIT = 10.0  # what a given mask comes back as, inside; its negative outside


@dataclass(frozen=True, slots=True, eq=False)
class Sam1Features:
    """One encoded frame: (H, W) and embedding (1, C, h, w)."""

    shape: tuple[int, int]
    embedding: Tensor

    @property
    def key(self) -> np.ndarray:
        """(K,) float32: the flattened embedding."""
        return _numpy(self.embedding.flatten())


@dataclass(frozen=True, slots=True, eq=False)
class Sam1Decoded:
    """N objects on one frame. logits (N, H, W) and iou (N,), float32. marked: the box of each that was drawn last."""

    logits: np.ndarray
    iou: np.ndarray
    marked: tuple[np.ndarray, ...] = ()
    object_score: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        # SAM 1 judges no presence: the box says that the object is there. sigmoid(10) is 1.
        object.__setattr__(self, "object_score", np.full(len(self.iou), 10.0, np.float32))


class Squash:
    """MedSAM's fit: the frame becomes the net's square, whatever its shape."""

    carried_margin = 5  # pixels of the net, as published, around the box of the last slice's mask

    def __init__(self, size: int) -> None:
        self.size = size

    def images(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W), 0..255 -> (B, 3, S, S), 0..1."""
        # Differs from MedSAM (MedSAM_Inference.py): skimage's cubic splines there, PyTorch's cubic convolution here.
        size = (self.size, self.size)
        images = F.interpolate(frames, size, mode="bicubic", align_corners=False, antialias=True)
        # Whole grey values, as there; and the rounding error of a constant image must not be stretched.
        return stretch(images.round().clamp(0, 255))

    def scale_xy(self, shape: tuple[int, int]) -> np.ndarray:
        """(2,): net pixels a frame pixel."""
        return np.array([self.size / shape[1], self.size / shape[0]], np.float32)

    def crop(self, logits: Tensor, shape: tuple[int, int]) -> Tensor:
        """The part of (N, 1, h, w) that shows the frame: all of it."""
        return logits


class PadLongest:
    """LiteMedSAM's fit: the longest side becomes the net's, the shorter one is filled up with zeros."""

    carried_margin = 3  # as above

    def __init__(self, size: int) -> None:
        self.size = size

    def images(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W), 0..255 -> (B, 3, S, S), 0..1."""
        rows, columns = self._inner((frames.shape[2], frames.shape[3]))
        # Averages over areas, rounded to whole grey values: what OpenCV's INTER_AREA gave in training.
        down = area_weights(frames.shape[2], rows, frames.device)
        across = area_weights(frames.shape[3], columns, frames.device)
        images = stretch((down @ frames @ across.T + 0.5).floor())
        return F.pad(images, (0, self.size - columns, 0, self.size - rows))

    def scale_xy(self, shape: tuple[int, int]) -> np.ndarray:
        """(2,): net pixels a frame pixel, the same in both directions."""
        return np.full(2, self.size / max(shape), np.float32)

    def crop(self, logits: Tensor, shape: tuple[int, int]) -> Tensor:
        """The part of (N, 1, h, w) that shows the frame, without the padding."""
        rows, columns = (max(1, round(side * logits.shape[-1] / self.size)) for side in self._inner(shape))
        return logits[..., :rows, :columns]

    def _inner(self, shape: tuple[int, int]) -> tuple[int, int]:
        rows, columns = (max(1, int(side * self.size / max(shape) + 0.5)) for side in shape)
        return rows, columns


class TorchSam1Engine:
    """A Sam1 net on a device. It keeps nothing between calls; what it remembers of an object are boxes."""

    follows = False
    zoom: float | None = None

    def __init__(self, model: Sam1, device: str = "auto", weights: SeenFile | None = None) -> None:
        self.device = pick_device(device)
        self.model = model.eval().to(self.device)
        self.name = model.config.name
        self.image_size = model.config.image_size
        self.fit = PadLongest(self.image_size) if model.config.keep_aspect else Squash(self.image_size)
        self.batch = 8 if self.device.type == "cuda" else 1
        self._identity = Identity(model.config, weights)

    @torch.inference_mode()
    def encode(self, frames: Sequence[np.ndarray]) -> list[Features]:
        """Encode (H, W, 3) uint8 frames of equal shape."""
        stacked = torch.from_numpy(np.ascontiguousarray(np.stack(frames))).to(self.device)
        embeddings = self.model.encode(self.fit.images(stacked.permute(0, 3, 1, 2).float()))
        return [Sam1Features(f.shape[:2], e) for f, e in zip(frames, embeddings.split(1), strict=True)]

    @property
    def features_id(self) -> str:
        """As KeepsFeatures."""
        return self._identity.text(self.device)

    def pack(self, features: Features) -> dict[str, np.ndarray]:
        """As KeepsFeatures."""
        return pack_tensors({"embedding": _own(features).embedding})

    def unpack(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> Features:
        """As KeepsFeatures."""
        return Sam1Features(shape, unpack_tensors(arrays, self.device)["embedding"])

    @torch.inference_mode()
    def begin(self, features: Features, prompts: Sequence[FramePrompt]) -> Decoded:
        """Decode N objects from a box each. A mask alone comes back as it was given.

        Raises PromptError for clicks, scribbles and RECIST lines, and for a mask besides a box.
        """
        own = _own(features)
        logits = np.empty((len(prompts), *own.shape), np.float32)
        iou = np.ones(len(prompts), np.float32)
        boxes: dict[int, np.ndarray] = {}
        for index, prompt in enumerate(prompts):
            if prompt.mask is not None and not len(prompt.labels):
                logits[index] = np.where(prompt.mask, GIVEN_LOGIT, -GIVEN_LOGIT)
            else:
                boxes[index] = self._box(prompt, own.shape)
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            group = list(boxes)[start : start + BOXES_AT_ONCE]
            logits[group], iou[group] = self._decode(own, np.stack([boxes[index] for index in group]))
        marked = (box_of(prompt) for prompt in prompts)
        return Sam1Decoded(logits, iou, tuple(_whole(own.shape) if box is None else box for box in marked))

    def follow(self, features: Features, recalled: Sequence[Recalled]) -> Decoded:
        """Decode N objects from the boxes of their masks on the frame before; from the marked box after an empty one.

        It finds something on every frame: which ones show the object must be told (`follows` is False).
        """
        own = _own(features)
        margin_xy = self.fit.carried_margin / self.fit.scale_xy(own.shape)
        carried_on = [carried(one, margin_xy, own.shape) for one in recalled]
        decoded = self.begin(features, [prompt for prompt, _ in carried_on])
        return Sam1Decoded(decoded.logits, decoded.iou, tuple(marked for _, marked in carried_on))

    def remember(self, features: Features, decoded: Decoded, frame: int, prompted: bool) -> list[Entry]:
        """The boxes of N objects. Raises ModelError for what another engine decoded."""
        if not isinstance(decoded, Sam1Decoded):
            raise ModelError(f"this engine cannot remember a {type(decoded).__name__}: another engine decoded it")
        found = entries(decoded.logits, decoded.iou, decoded.object_score, decoded.marked, frame, prompted)
        return list[Entry](found)

    def _decode(self, features: Sam1Features, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 2, 2) in net pixels -> logits (N, H, W) and iou (N,)."""
        points = torch.from_numpy(boxes).to(self.device)
        labels = torch.tensor([BOX_START, BOX_STOP], device=self.device).expand(len(boxes), 2)
        masks = self.model.decode(features.embedding, points, labels)
        # A box is clear: the first mask. Differs from MedSAM in that logits are scaled, not probabilities.
        logits = resize(self.fit.crop(masks.logits[:, :1], features.shape), features.shape)
        return _numpy(logits[:, 0]), _numpy(masks.iou[:, 0].clamp(0, 1))

    def _box(self, prompt: FramePrompt, shape: tuple[int, int]) -> np.ndarray:
        """The (2, 2) xy of the box's first and last pixel in the net's image, as both nets were trained."""
        if prompt.mask is not None or prompt.labels.tolist() != [BOX_START, BOX_STOP]:
            raise PromptError(
                f"{self.name} was trained with boxes only and does not understand {_besides_box(prompt)}: give one box "
                "alone (for a RECIST line or a scribble, the box around it), or take a model of the SAM 2 family, "
                "e.g. --model voxtrace-small"
            )
        first, stop = prompt.points_xy * self.fit.scale_xy(shape)
        return np.stack([first, np.maximum(stop - 1, first)]).astype(np.float32)


def stretch(images: Tensor) -> Tensor:
    """Each image's own values to [0, 1], all channels together; a constant image becomes 0."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp(min=1e-8)


def area_weights(size: int, size_out: int, device: torch.device | None = None) -> Tensor:
    """(size_out, size): how much of each new pixel every old one covers; rows sum to 1."""
    scale = size / size_out
    new = torch.arange(size_out, device=device, dtype=torch.float64)[:, None] * scale
    old = torch.arange(size, device=device, dtype=torch.float64)[None]
    covered = torch.minimum(new + scale, old + 1) - torch.maximum(new, old)
    return (covered.clamp(min=0) / scale).float()


def _besides_box(prompt: FramePrompt) -> str:
    """What keeps a prompt from being one box, in words."""
    clicks = int((prompt.labels < BOX_START).sum())
    found = ["a point" if clicks == 1 else f"{clicks} points"] if clicks else []
    found += ["a mask"] if prompt.mask is not None else []
    return " and ".join(found) or "a prompt without marks"


def _whole(shape: tuple[int, int]) -> np.ndarray:
    """The (2, 2) box of a frame: of an object without box and mask there."""
    return np.array([[0, 0], shape[::-1]], np.float32)


def _own(features: Features) -> Sam1Features:
    if not isinstance(features, Sam1Features):
        raise ModelError(f"this engine cannot decode a {type(features).__name__}: another engine encoded the frame")
    return features


def _numpy(x: Tensor) -> np.ndarray:
    return x.float().cpu().numpy()
