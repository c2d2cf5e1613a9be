"""The Engine of MedSAM and LiteMedSAM on PyTorch; what does not need tensors is in boxes.py and fitting.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from voxtrace.engine import Features
from voxtrace.engines import fitting
from voxtrace.engines.boxes import BoxEngine
from voxtrace.engines.torch import pick_device
from voxtrace.engines.torch_packing import Identity, pack_tensors, unpack_tensors
from voxtrace.hashing import SeenFile
from voxtrace.model.mask_decoder import resize
from voxtrace.model.sam1 import Sam1
from voxtrace.prompts import BOX_START, BOX_STOP


@dataclass(frozen=True, slots=True, eq=False)
class Sam1Features:
    """One encoded frame: (H, W) and embedding (1, C, h, w)."""

    shape: tuple[int, int]
    embedding: Tensor

    @property
    def key(self) -> np.ndarray:
        """(K,) float32: the flattened embedding."""
        return _numpy(self.embedding.flatten())


class Squash(fitting.Squash):
    """MedSAM's fit of frames that are tensors."""

    def images(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W), 0..255 -> (B, 3, S, S), 0..1."""
        size = (self.size, self.size)
        images = F.interpolate(frames, size, mode="bicubic", align_corners=False, antialias=True)
        return stretch(images.round().clamp(0, 255))


class PadLongest(fitting.PadLongest):
    """LiteMedSAM's fit of frames that are tensors."""

    def images(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W), 0..255 -> (B, 3, S, S), 0..1."""
        rows, columns = self.inner((frames.shape[2], frames.shape[3]))
        down = area_weights(frames.shape[2], rows, frames.device)
        across = area_weights(frames.shape[3], columns, frames.device)
        images = stretch((down @ frames @ across.T + 0.5).floor())
        return F.pad(images, (0, self.size - columns, 0, self.size - rows))


class TorchSam1Engine(BoxEngine):
    """A Sam1 net on a device. It keeps nothing between calls; what it remembers of an object are boxes."""

    features_type = Sam1Features

    def __init__(self, model: Sam1, device: str = "auto", weights: SeenFile | None = None) -> None:
        self.device = pick_device(device)
        self.model = model.eval().to(self.device)
        self.name = model.config.name
        self.image_size = model.config.image_size
        self.fit: Squash | PadLongest = (
            PadLongest(self.image_size) if model.config.keep_aspect else Squash(self.image_size)
        )
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
    def decode(self, features: Features, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As BoxEngine."""
        assert isinstance(features, Sam1Features)
        points = torch.from_numpy(boxes).to(self.device)
        labels = torch.tensor([BOX_START, BOX_STOP], device=self.device).expand(len(boxes), 2)
        masks = self.model.decode(features.embedding, points, labels)
        # A box is clear: the first mask. Differs from MedSAM in that logits are scaled, not probabilities.
        logits = resize(self.fit.crop(masks.logits[:, :1], features.shape), features.shape)
        return _numpy(logits[:, 0]), _numpy(masks.iou[:, 0].clamp(0, 1))


def stretch(images: Tensor) -> Tensor:
    """Each image's own values to [0, 1], all channels together; a constant image becomes 0."""
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - low) / (high - low).clamp(min=1e-8)


def area_weights(size: int, size_out: int, device: torch.device | None = None) -> Tensor:
    """(size_out, size): how much of each new pixel every old one covers; rows sum to 1."""
    return torch.from_numpy(fitting.area_weights(size, size_out)).to(device)


def _own(features: Features) -> Sam1Features:
    assert isinstance(features, Sam1Features)
    return features


def _numpy(x: Tensor) -> np.ndarray:
    return x.float().cpu().numpy()
