"""The Engine on PyTorch: numpy frames and prompts in, numpy masks and scores out, tensors in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from voxtrace.engine import Entry, Recalled
from voxtrace.engines import torch_packing
from voxtrace.engines.batching import MEAN, STD, in_batches, memory_layout, net_masks, net_points, prompt_layout
from voxtrace.engines.correcting import clicks, near_clicks
from voxtrace.engines.looks import looks
from voxtrace.errors import ModelError
from voxtrace.hashing import SeenFile
from voxtrace.model.mask_decoder import resize
from voxtrace.model.sam2 import MASK_BIAS, MASK_SCALE, SHARPENING, Encoded, Heads, Memory, Sam2, Shown
from voxtrace.prompts import FramePrompt


@dataclass(frozen=True, slots=True, eq=False)
class TorchFeatures:
    """One encoded frame."""

    shape: tuple[int, int]
    encoded: Encoded

    @property
    def key(self) -> np.ndarray:
        """(K,) float32: the flattened embedding."""
        return _numpy(self.encoded.embedding.flatten())


@dataclass(frozen=True, slots=True, eq=False)
class TorchDecoded:
    """N objects on one frame. given: object -> the mask that the prompt gave, (H, W) bool."""

    shape: tuple[int, int]
    heads: Heads
    given: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def logits(self) -> np.ndarray:
        """(N, H, W) float32. A given mask comes back voxel by voxel, as certain as SAM 2 makes it (-10 or 10)."""
        logits = _numpy(resize(self.heads.logits.float(), self.shape)[:, 0])
        for index, mask in self.given.items():
            logits[index] = np.where(mask, MASK_SCALE + MASK_BIAS, MASK_BIAS)
        return logits

    @property
    def object_score(self) -> np.ndarray:
        """(N,) float32 logits."""
        return _numpy(self.heads.object_score[:, 0])

    @property
    def iou(self) -> np.ndarray:
        """(N,) float32."""
        return _numpy(self.heads.iou)


@dataclass(frozen=True, slots=True, eq=False)
class TorchEntry:
    """One object's memory (1, memory_dim, h, w), pointer (1, C) and mask logits (1, 1, side, side) of one frame.

    embedding, image: of the frame, as in Encoded; its maps for the decoder, most of its bytes, are not remembered.
    """

    frame: int
    prompted: bool
    object_score: float
    iou: float
    memory: Tensor
    pointer: Tensor
    logits: Tensor
    embedding: Tensor
    image: Tensor | None

    @property
    def key(self) -> np.ndarray:
        """(M,) float32: the flattened memory map."""
        return _numpy(self.memory.flatten())

    @property
    def image_key(self) -> np.ndarray:
        """(K,) float32: the key of the frame."""
        return _numpy(self.embedding.flatten())


class TorchEngine:
    """A Sam2 net on a device. It keeps nothing between calls.

    weights: the file that the net was loaded from. precision: fp32, bf16, or auto, which is bf16 on a GPU that computes
    in it. bf16 is for the image encoder, and for what follows and remembers; marks are decoded in fp32, and what is
    kept is float32.
    """

    follows = True

    def __init__(
        self, model: Sam2, device: str = "auto", weights: SeenFile | None = None, precision: str = "auto"
    ) -> None:
        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        self.model = model.eval().to(self.device)
        self.name = model.config.name
        self.image_size = model.config.image_size
        self.zoom = model.config.zoom
        self.batch = 8 if self.device.type == "cuda" else 1
        self._identity = torch_packing.Identity(model.config, weights)
        self._mean = torch.tensor(MEAN, device=self.device)[:, None, None] * 255
        self._std = torch.tensor(STD, device=self.device)[:, None, None] * 255

    @torch.inference_mode()
    def encode(self, frames: Sequence[np.ndarray]) -> list[TorchFeatures]:
        """Encode (H, W, 3) uint8 frames of equal shape, squashed to the net's square."""
        stacked = torch.from_numpy(np.ascontiguousarray(np.stack(frames))).to(self.device)
        images = stacked.permute(0, 3, 1, 2).float()
        if images.shape[-2:] != (self.image_size, self.image_size):
            images = resize(images, self.image_size, antialias=True)
        with self._swiftly():
            encoded = self.model.encode((images - self._mean) / self._std)
        encoded = Encoded(encoded.embedding.float(), tuple(m.float() for m in encoded.high_res), encoded.image)
        return [TorchFeatures(frame.shape[:2], encoded.frame(i)) for i, frame in enumerate(frames)]

    def _swiftly(self) -> torch.autocast:
        """In what is done within, products are computed in the engine's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    @property
    def features_id(self) -> str:
        """As KeepsFeatures."""
        return self._identity.text(self.device, {"fp32": "float32", "bf16": "bfloat16"}[self.precision])

    def pack(self, features: TorchFeatures) -> dict[str, np.ndarray]:
        """As KeepsFeatures."""
        return torch_packing.pack(features.encoded)

    def unpack(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> TorchFeatures:
        """As KeepsFeatures."""
        return TorchFeatures(shape, torch_packing.unpack(arrays, self.device))

    @torch.inference_mode()
    def begin(self, features: TorchFeatures, prompts: Sequence[FramePrompt]) -> TorchDecoded:
        """Decode N objects from their prompts; a mask without clicks is taken as the answer."""
        heads = in_batches(prompts, prompt_layout, lambda group: self._begin(features, group), _joined)
        given = {i: p.mask for i, p in enumerate(prompts) if p.mask is not None and not len(p.labels)}
        return TorchDecoded(features.shape, heads, given)

    def _begin(self, features: TorchFeatures, prompts: list[FramePrompt]) -> Heads:
        masks = None
        if prompts[0].mask is not None:
            masks = torch.from_numpy(net_masks(prompts, self.image_size)).to(self.device)
        if not len(prompts[0].labels):
            if masks is None:
                raise ModelError("a prompt without a click, box or mask cannot be decoded")
            return self.model.begin_with_mask(features.encoded, (masks >= 0.5).float())
        if masks is not None:
            masks = resize(masks, self.model.hint_size, antialias=True) * MASK_SCALE + MASK_BIAS
        placed = [net_points(prompt, features.shape, self.image_size) for prompt in prompts]
        points = torch.from_numpy(np.stack(placed)).to(self.device)
        labels = torch.from_numpy(np.stack([p.labels for p in prompts])).to(self.device)
        heads = self.model.begin(features.encoded, points, labels, masks)
        if masks is None or not self.model.config.hinted:
            return heads
        size = self.model.hint_size
        clicked = clicks(np.stack(placed), np.stack([p.labels for p in prompts]), self.image_size, size)
        kept = near_clicks(_numpy(heads.logits), _numpy(masks), clicked)
        return heads._replace(logits=torch.from_numpy(kept).to(self.device))

    @torch.inference_mode()
    def follow(self, features: TorchFeatures, recalled: Sequence[Recalled]) -> TorchDecoded:
        """Decode N objects from what is remembered of them."""
        heads = in_batches(recalled, memory_layout, lambda group: self._follow(features, group), _joined)
        return TorchDecoded(features.shape, heads)

    def _follow(self, features: TorchFeatures, recalled: list[Recalled]) -> Heads:
        memory, shown = laid_out(self.model, recalled)
        heads = self._decoded(features.encoded, memory, *shown)
        return heads if not shown or shown[0].placed else self._by_looks(features.encoded, memory, shown, heads)

    def _decoded(self, encoded: Encoded, memory: Memory, *shown: Shown) -> Heads:
        with self._swiftly():
            heads = self.model.follow(encoded, memory, *shown)
        return heads._replace(
            iou=heads.iou.float(), pointer=heads.pointer.float(), object_score=heads.object_score.float()
        )

    def _by_looks(self, encoded: Encoded, memory: Memory, shown: list[Shown], heads: Heads) -> Heads:
        """Where the place of an object is not known but its colours tell it, they draw a first mask, and the net
        answers anew."""
        assert encoded.image is not None
        known = [(_numpy(self.model.sharpened(s.logits)), _numpy(s.image)) for s in shown]
        drawn, reliable = looks(_numpy(encoded.image), known)
        if not reliable.any():
            return heads
        mask = torch.from_numpy(drawn).to(self.device) / SHARPENING  # it is sharp already
        again = self._decoded(encoded, memory, Shown(mask, encoded.image))
        rows = torch.from_numpy(np.flatnonzero(reliable)).to(self.device)
        logits, iou, pointer, score = (
            first.index_copy(0, rows, better[rows]) for first, better in zip(heads[:4], again[:4], strict=True)
        )
        return Heads(logits, iou, pointer, score, None)

    @torch.inference_mode()
    def remember(self, features: TorchFeatures, decoded: TorchDecoded, frame: int, prompted: bool) -> list[TorchEntry]:
        """One entry for each of decoded's objects."""
        heads = decoded.heads
        with self._swiftly():
            memory = self.model.remember(features.encoded, heads.logits, heads.object_score, certain=prompted).float()
        scores, ious = decoded.object_score, decoded.iou
        own = [(memory[i], heads.pointer[i], heads.logits[i]) for i in (slice(n, n + 1) for n in range(len(memory)))]
        embedding, image = features.encoded.embedding, features.encoded.image
        return [
            TorchEntry(frame, prompted, float(score), float(iou), *parts, embedding, image)
            for parts, score, iou in zip(own, scores, ious, strict=True)
        ]


def laid_out(model: Sam2, recalled: Sequence[Recalled]) -> tuple[Memory, list[Shown]]:
    """What N objects of one `memory_layout` are followed with, as tensors; with gradients where the entries have them,
    so that a training recalls as inference does."""
    first = recalled[0]
    memories = [
        (torch.cat([_own(r.memories[i][0]).memory for r in recalled]), time)
        for i, (_, time) in enumerate(first.memories)
    ]
    pointers = [
        (torch.cat([_own(r.pointers[i][0]).pointer for r in recalled]), time)
        for i, (_, time) in enumerate(first.pointers)
    ]
    return model.recall(memories, pointers, first.pointer_span), _shown(recalled)


def _shown(recalled: Sequence[Recalled]) -> list[Shown]:
    """Earlier frames with their masks, for nets that look at them; all objects have equally many."""
    shown = []
    for index, (_, weight) in enumerate(recalled[0].shown):
        entries = [_own(r.shown[index][0]) for r in recalled]
        images = [entry.image for entry in entries]
        if images[0] is not None:
            logits = torch.cat([entry.logits for entry in entries])
            shown.append(Shown(logits, torch.cat([i for i in images if i is not None]), weight, recalled[0].placed))
    return shown


def pick_precision(name: str, device: torch.device) -> str:
    """fp32 or bf16; "auto" is bf16 on a CUDA GPU that computes in it, else fp32."""
    if name == "auto":
        able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if able else "fp32"
    if name not in ("fp32", "bf16"):
        raise ModelError(f"the precision {name!r} is unknown; one of auto, fp32, bf16")
    return name


def pick_device(name: str) -> torch.device:
    """ "auto" is the first of CUDA and the CPU that is there; any other torch device by its name."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"device {name!r} was asked for, but torch {torch.__version__} sees no CUDA GPU; use cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("device 'mps' was asked for, but this machine has no Apple GPU; use cpu")
    return device


def _joined(parts: list[Heads], rows: list[int]) -> Heads:
    """Parts in a row, then the rows asked for."""
    order = torch.tensor(rows, device=parts[0].logits.device)
    logits, iou, pointer, score = (torch.cat(field)[order] for field in zip(*(p[:4] for p in parts), strict=True))
    return Heads(logits, iou, pointer, score, None)


def _own(entry: Entry) -> TorchEntry:
    if not isinstance(entry, TorchEntry):
        raise ModelError(f"this engine cannot recall a {type(entry).__name__}: it was remembered by another engine")
    return entry


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().float().cpu().numpy()
