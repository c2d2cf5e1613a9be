"""Every net of the SAM 2 family as numbers. A config builds its parts; nothing else knows the families apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from torch import nn

from voxtrace.model.hiera import HieraConfig
from voxtrace.model.neck import FpnNeck


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
class Sam2Config:
    """A net of the family. Defaults are SAM 2.1's.

    multimask: the clicks (box corners count) on a prompted frame for which the best of three masks is taken.
    multimask_following: the same choice on followed frames. stable: fall back to it when a single mask is not stable.
    version_2_1: the three tensors that 2.1 has and 2.0 lacks (time of pointers, no-object map).
    zoom: window side / prompt side that the net was trained to see; None: the whole frame.
    """

    name: str
    trunk: TrunkConfig
    image_size: int = 1024
    neck: NeckConfig = Fpn()
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
    zoom: float | None = None

    @property
    def embedding_size(self) -> int:
        """Side of the embedding, at stride 16."""
        return self.image_size // 16

    def at(self, image_size: int) -> Sam2Config:
        """The same net for another image size (a multiple of 32)."""
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
