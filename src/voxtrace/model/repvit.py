"""RepViT, EdgeTAM's trunk: a small convolutional net. Parameter names as timm's `repvit_m1`.

Source: Wang et al. 2023 (arXiv:2307.09283). Each block mixes along space (a depthwise 3 x 3 and a 1 x 1 beside a
shortcut), then along channels. Every second block, a stage's first among them, weighs its channels by squeeze and
excitation. Training and inference take the same path: nothing has to be fused.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

SQUEEZE_DIVISOR = 8  # hidden channels of squeeze and excitation: a quarter of the width, rounded to this


@dataclass(frozen=True, slots=True)
class RepVitConfig:
    """Widths and numbers of blocks of the stages, as many as wanted; the defaults are `repvit_m1`."""

    widths: tuple[int, ...] = (48, 96, 192, 384)
    depths: tuple[int, ...] = (2, 2, 14, 2)
    mlp_ratio: int = 2

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the maps, finest first."""
        return self.widths

    def build(self) -> RepVit:
        """The net, with random weights."""
        return RepVit(self)


class RepVit(nn.Module):
    """(B, 3, H, W) -> one map a stage, (B, widths[i], H / s, W / s) with s = 4, 8, 16, 32: finest first."""

    def __init__(self, config: RepVitConfig) -> None:
        super().__init__()
        self.channels = config.channels
        self.body = nn.ModuleDict({"stem": _stem(config.widths[0])})
        for index, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            entry = _Downsample(config.widths[index - 1], width, config.mlp_ratio) if index else nn.Identity()
            self.body[f"stages_{index}"] = _stage(entry, width, depth, config.mlp_ratio)

    def forward(self, images: Tensor) -> list[Tensor]:
        stem, *stages = self.body.values()
        x = stem(images)
        maps = []
        for stage in stages:
            x = stage(x)
            maps.append(x)
        return maps


def _stage(entry: nn.Module, width: int, depth: int, mlp_ratio: int) -> nn.Sequential:
    blocks = nn.Sequential(*(_Block(width, mlp_ratio, squeeze=index % 2 == 0) for index in range(depth)))
    return nn.Sequential(OrderedDict(downsample=entry, blocks=blocks))


def _stem(width: int) -> nn.Sequential:
    half = width // 2
    return nn.Sequential(
        OrderedDict(conv1=_conv_norm(3, half, 3, stride=2), act1=nn.GELU(), conv2=_conv_norm(half, width, 3, stride=2))
    )


class _Block(nn.Module):
    def __init__(self, width: int, mlp_ratio: int, squeeze: bool) -> None:
        super().__init__()
        self.token_mixer = _DepthwiseMixer(width)
        self.se = _SqueezeExcite(width) if squeeze else nn.Identity()
        self.channel_mixer = _channel_mlp(width, mlp_ratio)

    def forward(self, features: Tensor) -> Tensor:
        features = self.se(self.token_mixer(features))
        return features + self.channel_mixer(features)


class _Downsample(nn.Module):
    """A block at the old width, then half the resolution and the new width."""

    def __init__(self, width_in: int, width: int, mlp_ratio: int) -> None:
        super().__init__()
        self.pre_block = _Block(width_in, mlp_ratio, squeeze=False)
        self.spatial_downsample = _conv_norm(width_in, width_in, 3, stride=2, groups=width_in)
        self.channel_downsample = _conv_norm(width_in, width, 1)
        self.ffn = _channel_mlp(width, mlp_ratio)

    def forward(self, features: Tensor) -> Tensor:
        features = self.channel_downsample(self.spatial_downsample(self.pre_block(features)))
        return features + self.ffn(features)


class _DepthwiseMixer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _conv_norm(width, width, 3, groups=width)
        self.conv1 = _conv_norm(width, width, 1, groups=width)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv(features) + self.conv1(features) + features


class _SqueezeExcite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(SQUEEZE_DIVISOR, int(width / 4 + SQUEEZE_DIVISOR / 2) // SQUEEZE_DIVISOR * SQUEEZE_DIVISOR)
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.act = nn.ReLU()
        self.fc2 = nn.Conv2d(hidden, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        pooled = features.mean((2, 3), keepdim=True)
        return features * self.fc2(self.act(self.fc1(pooled))).sigmoid()


def _channel_mlp(width: int, ratio: int) -> nn.Sequential:
    """Two 1 x 1 layers. Fresh ones give zeros (norm weight 0), so that a deep net starts from its shortcuts."""
    widen, narrow = _conv_norm(width, width * ratio, 1), _conv_norm(width * ratio, width, 1, norm_weight=0.0)
    return nn.Sequential(OrderedDict(conv1=widen, act=nn.GELU(), conv2=narrow))


def _conv_norm(
    width_in: int, width: int, kernel: int, stride: int = 1, groups: int = 1, norm_weight: float = 1.0
) -> nn.Sequential:
    conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(width)
    nn.init.constant_(norm.weight, norm_weight)
    return nn.Sequential(OrderedDict(c=conv, bn=norm))
