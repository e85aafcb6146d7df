"""RegNetY-400MF, EfficientNetV2-S, MobileNetV3 and Lite R-ASPP (Radosavovic et al., 2020; Tan and Le, 2021; Howard et
al., 2019), with torchvision's names.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

Act = Callable[[], nn.Module]


def conv_bn(
    channels: int,
    out: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    groups: int = 1,
    act: Act | None = nn.ReLU,
    dilation: int = 1,
    **norm: Any,
) -> nn.Sequential:
    padding = (kernel - 1) // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out, **norm),
    ]
    return nn.Sequential(*layers, *([act()] if act else []))


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeeze: int, act: Act = nn.ReLU, gate: Act = nn.Sigmoid) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.act, self.gate = act(), gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True)))))


# -- RegNetY


class RegNetBlock(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        different = stride != 1 or channels != out
        self.proj = conv_bn(channels, out, stride=stride, act=None) if different else nn.Identity()
        self.f = nn.Sequential(
            OrderedDict(
                a=conv_bn(channels, out),
                b=conv_bn(out, out, 3, stride, groups=out // 8),
                se=SqueezeExcitation(out, round(0.25 * channels)),
                c=conv_bn(out, out, act=None),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.proj(x) + self.f(x))


class RegNetY400MF(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = conv_bn(3, 32, 3, 2)
        self.trunk_output = nn.Sequential()
        channels = 32
        for stage, (out, depth) in enumerate([(48, 1), (104, 3), (208, 6), (440, 6)], start=1):
            blocks = nn.Sequential()
            for index in range(depth):
                blocks.add_module(f"block{stage}-{index}", RegNetBlock(channels, out, 2 if index == 0 else 1))
                channels = out
            self.trunk_output.add_module(f"block{stage}", blocks)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.trunk_output(self.stem(x)).mean((2, 3)))


# -- EfficientNetV2


class MBConv(nn.Module):
    def __init__(self, channels: int, out: int, expand: int, stride: int, *, fused: bool) -> None:
        super().__init__()
        hidden = channels * expand
        norm: dict[str, Any] = {"eps": 1e-3}
        if fused and expand == 1:
            layers: list[nn.Module] = [conv_bn(channels, out, 3, stride, act=nn.SiLU, **norm)]
        elif fused:
            layers = [conv_bn(channels, hidden, 3, stride, act=nn.SiLU, **norm), conv_bn(hidden, out, act=None, **norm)]
        else:
            layers = [
                conv_bn(channels, hidden, act=nn.SiLU, **norm),
                conv_bn(hidden, hidden, 3, stride, groups=hidden, act=nn.SiLU, **norm),
                SqueezeExcitation(hidden, channels // 4, nn.SiLU),
                conv_bn(hidden, out, act=None, **norm),
            ]
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.residual else y


class EfficientNetV2S(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        features, channels = [conv_bn(3, 24, 3, 2, act=nn.SiLU, eps=1e-3)], 24
        for expand, stride, out, depth, fused in [
            (1, 1, 24, 2, True),
            (4, 2, 48, 4, True),
            (4, 2, 64, 4, True),
            (4, 2, 128, 6, False),
            (6, 1, 160, 9, False),
            (6, 2, 256, 15, False),
        ]:
            stage = [MBConv(channels, out, expand, stride, fused=fused)]
            stage += [MBConv(out, out, expand, 1, fused=fused) for _ in range(depth - 1)]
            features.append(nn.Sequential(*stage))
            channels = out
        features.append(conv_bn(channels, 1280, act=nn.SiLU, eps=1e-3))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


# -- MobileNetV3

NORM: dict[str, Any] = {"eps": 1e-3, "momentum": 0.01}
# kernel, expanded channels, output channels, squeezed channels or 0, activation, stride
SMALL = [
    (3, 16, 16, 8, nn.ReLU, 2),
    (3, 72, 24, 0, nn.ReLU, 2),
    (3, 88, 24, 0, nn.ReLU, 1),
    (5, 96, 40, 24, nn.Hardswish, 2),
    (5, 240, 40, 64, nn.Hardswish, 1),
    (5, 240, 40, 64, nn.Hardswish, 1),
    (5, 120, 48, 32, nn.Hardswish, 1),
    (5, 144, 48, 40, nn.Hardswish, 1),
    (5, 288, 96, 72, nn.Hardswish, 2),
    (5, 576, 96, 144, nn.Hardswish, 1),
    (5, 576, 96, 144, nn.Hardswish, 1),
]
LARGE = [
    (3, 16, 16, 0, nn.ReLU, 1),
    (3, 64, 24, 0, nn.ReLU, 2),
    (3, 72, 24, 0, nn.ReLU, 1),
    (5, 72, 40, 24, nn.ReLU, 2),
    (5, 120, 40, 32, nn.ReLU, 1),
    (5, 120, 40, 32, nn.ReLU, 1),
    (3, 240, 80, 0, nn.Hardswish, 2),
    (3, 200, 80, 0, nn.Hardswish, 1),
    (3, 184, 80, 0, nn.Hardswish, 1),
    (3, 184, 80, 0, nn.Hardswish, 1),
    (3, 480, 112, 120, nn.Hardswish, 1),
    (3, 672, 112, 168, nn.Hardswish, 1),
    (5, 672, 160, 168, nn.Hardswish, 2),
    (5, 960, 160, 240, nn.Hardswish, 1),
    (5, 960, 160, 240, nn.Hardswish, 1),
]


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, row: tuple, dilation: int) -> None:
        super().__init__()
        kernel, hidden, out, squeeze, act, stride = row
        self.residual = stride == 1 and channels == out
        stride = 1 if dilation > 1 else stride
        layers: list[nn.Module] = [conv_bn(channels, hidden, act=act, **NORM)] if hidden != channels else []
        layers.append(conv_bn(hidden, hidden, kernel, stride, groups=hidden, act=act, dilation=dilation, **NORM))
        if squeeze:
            layers.append(SqueezeExcitation(hidden, squeeze, gate=nn.Hardsigmoid))
        self.block = nn.Sequential(*layers, conv_bn(hidden, out, act=None, **NORM))

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.residual else y


def mobilenet_v3_features(rows: list[tuple], last: int, dilated: int = 0) -> nn.Sequential:
    """`dilated`: how many of the last blocks have a dilation of 2 instead of the stride."""
    layers: list[nn.Module] = [conv_bn(3, 16, 3, 2, act=nn.Hardswish, **NORM)]
    channels = 16
    for index, row in enumerate(rows):
        layers.append(InvertedResidual(channels, row, 2 if index >= len(rows) - dilated else 1))
        channels = row[2]
    return nn.Sequential(*layers, conv_bn(channels, last, act=nn.Hardswish, **NORM))


class MobileNetV3Small(nn.Module):
    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.features = mobilenet_v3_features(SMALL, 576)
        self.classifier = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class LRASPPHead(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.cbr = conv_bn(960, 128)
        self.scale = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(960, 128, 1, bias=False), nn.Sigmoid())
        self.low_classifier = nn.Conv2d(40, classes, 1)
        self.high_classifier = nn.Conv2d(128, classes, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        x = self.cbr(high) * self.scale(high)
        x = interpolate(x, size=low.shape[2:], mode="bilinear", align_corners=False)
        return self.low_classifier(low) + self.high_classifier(x)


class LRASPP(nn.Module):
    def __init__(self, classes: int = 21) -> None:
        super().__init__()
        self.backbone = mobilenet_v3_features(LARGE, 960, dilated=3)
        self.classifier = LRASPPHead(classes)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        low = self.backbone[:5](x)
        x = self.classifier(low, self.backbone[5:](low))
        return interpolate(x, size=size, mode="bilinear", align_corners=False)
