"""Every net of the SAM 2 family as numbers. A config builds its parts; nothing else knows the families apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from torch import nn

from voxtrace.model.hiera import HieraConfig
from voxtrace.model.memory_attention import RoPEAttention
from voxtrace.model.memory_encoder import WholeMap
from voxtrace.model.neck import FpnNeck
from voxtrace.model.perceiver import RoPEAttentionV2, SpatialPerceiver
from voxtrace.model.repvit import RepVitConfig
from voxtrace.model.resnet import ResNetConfig
from voxtrace.model.vitdet import VitDetConfig, VitDetNeck


class TrunkConfig(Protocol):
    """What a trunk's numbers must offer."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of its maps, finest first."""
        ...

    def build(self) -> nn.Module:
        """The trunk, with random weights: (B, 3, S, S) -> maps, finest first."""
        ...


@dataclass(frozen=True, slots=True)
class Fpn:
    """SAM 2's neck."""

    top_down: tuple[int, ...] = (2, 3)
    scalp: int = 1

    def build(self, dim: int, channels: tuple[int, ...]) -> nn.Module:
        """The neck for a trunk with `channels`."""
        return FpnNeck(dim, channels, self.top_down)


@dataclass(frozen=True, slots=True)
class VitNeck:
    """EfficientTAM's neck: one map in, one map out."""

    scalp: int = 0

    def build(self, dim: int, channels: tuple[int, ...]) -> nn.Module:
        """The neck for a trunk with `channels`."""
        return VitDetNeck(dim, channels)


class NeckConfig(Protocol):
    """What a neck's numbers must offer."""

    @property
    def scalp(self) -> int:
        """How many of the coarsest maps are dropped."""
        ...

    def build(self, dim: int, channels: tuple[int, ...]) -> nn.Module:
        """The neck for a trunk with `channels`."""
        ...


@dataclass(frozen=True, slots=True)
class WholeMaps:
    """SAM 2 keeps a memory as the map it is: a token every 16 pixels."""

    def build(self, memory_dim: int) -> WholeMap | SpatialPerceiver:
        """What a memory map passes through before it is kept."""
        return WholeMap()

    def attention(self, dim: int, memory_dim: int) -> nn.Module:
        """The attention that reads memories kept so."""
        return RoPEAttention(dim, memory_dim)


@dataclass(frozen=True, slots=True)
class Perceived:
    """EdgeTAM keeps `free` + `placed` tokens of each memory; `placed` is a square number."""

    free: int = 256
    placed: int = 256
    depth: int = 2

    def build(self, memory_dim: int) -> WholeMap | SpatialPerceiver:
        """What a memory map passes through before it is kept."""
        return SpatialPerceiver(memory_dim, self.free, self.placed, self.depth)

    def attention(self, dim: int, memory_dim: int) -> nn.Module:
        """The attention that reads memories kept so."""
        return RoPEAttentionV2(dim, memory_dim, self.free, self.placed)


class KeepingConfig(Protocol):
    """How memories are kept and read."""

    def build(self, memory_dim: int) -> WholeMap | SpatialPerceiver:
        """What a memory map passes through before it is kept."""
        ...

    def attention(self, dim: int, memory_dim: int) -> nn.Module:
        """The attention that reads memories kept so."""
        ...


@dataclass(frozen=True, slots=True)
class Sam2Config:
    """A net of the family. Defaults are SAM 2.1's.

    multimask: the clicks (box corners count) on a prompted frame for which the best of three masks is taken.
    multimask_following: the same choice on followed frames. stable: fall back to it when a single mask is not stable.
    version_2_1: the three tensors that 2.1 has and 2.0 lacks (time of pointers, no-object map).
    hinted: a mask is shown to the net, a drawing of the prompt on a marked frame and the mask of the frame before on a
    followed one, and a refiner draws its change. SAM 2 does neither; a net with little data learns much sooner so.
    mirrored: the refiner's answer is the mean over a picture's four mirror images.
    standardised: every image is brought to mean 0 and deviation 1 first: scans come dark, bright and flat.
    zoom: window side / prompt side that the net was trained to see; None: the whole frame.
    """

    name: str
    trunk: TrunkConfig
    image_size: int = 1024
    neck: NeckConfig = Fpn()
    keeping: KeepingConfig = WholeMaps()
    dim: int = 256
    memory_dim: int = 64
    memory_layers: int = 4
    mlp_dim: int = 2048
    iou_hidden: int = 256
    high_res: bool = True
    version_2_1: bool = True
    multimask: tuple[int, int] = (0, 1)
    multimask_following: bool = True
    stable: bool = True
    hinted: bool = False
    mirrored: bool = False
    standardised: bool = False
    zoom: float | None = None

    @property
    def embedding_size(self) -> int:
        """Side of the embedding, at stride 16."""
        return self.image_size // 16

    def at(self, image_size: int) -> Sam2Config:
        """The same net for another image size (a multiple of 32; of 256 for EdgeTAM)."""
        return replace(self, image_size=image_size)


TINY = HieraConfig(96, 1, (1, 2, 7, 2), (5, 7, 9))
SMALL = HieraConfig(96, 1, (1, 2, 11, 2), (7, 10, 13))
BASE_PLUS = HieraConfig(112, 2, (2, 3, 16, 3), (12, 16, 20), position_grid=(14, 14))
LARGE = HieraConfig(144, 2, (2, 6, 36, 4), (23, 33, 43), windows=(8, 4, 16, 8))

_TRUNKS = {"tiny": TINY, "small": SMALL, "base_plus": BASE_PLUS, "large": LARGE}

CONFIGS: dict[str, Sam2Config] = {
    config.name: config
    for size, trunk in _TRUNKS.items()
    for config in (
        Sam2Config(f"sam2.1_hiera_{size}", trunk),
        Sam2Config(f"sam2_hiera_{size}", trunk, version_2_1=False),
    )
}


def _efficienttam(size: str, trunk: VitDetConfig, image_size: int) -> Sam2Config:
    name = f"efficienttam_{size}" if image_size == 1024 else f"efficienttam_{size}_{image_size}x{image_size}"
    return Sam2Config(name, trunk, image_size, VitNeck(), high_res=False, version_2_1=False)


CONFIGS |= {
    config.name: config
    for config in (
        _efficienttam("s", VitDetConfig(384, 6), 1024),
        _efficienttam("s", VitDetConfig(384, 6), 512),
        _efficienttam("ti", VitDetConfig(192, 3), 1024),
        _efficienttam("ti", VitDetConfig(192, 3), 512),
        Sam2Config("edgetam", RepVitConfig(), keeping=Perceived(), memory_layers=2, version_2_1=False),
    )
}

CONFIGS["voxtrace-small"] = Sam2Config(
    "voxtrace-small",
    ResNetConfig(),
    image_size=96,
    neck=Fpn(top_down=(0, 1, 2, 3)),
    dim=128,
    memory_layers=2,
    mlp_dim=512,
    iou_hidden=128,
    # One mask unless a single click leaves open what is meant; little training makes the other three poor judges.
    multimask=(1, 1),
    multimask_following=False,
    stable=False,
    hinted=True,
    mirrored=True,
    standardised=True,
    zoom=1.75,
)
