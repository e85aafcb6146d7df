"""Three resolutions of HRNet (Wang et al., 2020), which exchange their maps after each module."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu


def conv_bn(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out))


def conv_bn_relu(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*conv_bn(channels, out, kernel, stride), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn_relu(channels, channels), conv_bn(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.body(x) + x)


class Exchange(nn.Module):
    def __init__(self, channels: list[int], depth: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(Residual(each) for _ in range(depth))) for each in channels)
        self.fuse = nn.ModuleDict()
        for fine, coarse in [(0, 1), (0, 2), (1, 2)]:
            self.fuse[f"{coarse}{fine}"] = conv_bn(channels[coarse], channels[fine], 1)
            steps = [conv_bn_relu(channels[fine], channels[fine], 3, 2) for _ in range(coarse - fine - 1)]
            self.fuse[f"{fine}{coarse}"] = nn.Sequential(*steps, conv_bn(channels[fine], channels[coarse], 3, 2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(each) for branch, each in zip(self.branches, maps, strict=True)]
        fused = []
        for to in range(3):
            total = torch.zeros_like(maps[to])
            for source in range(3):
                y = maps[source] if source == to else self.fuse[f"{source}{to}"](maps[source])
                if source > to:
                    y = interpolate(y, size=maps[to].shape[2:], mode="nearest")
                total = total + y
            fused.append(relu(total))
        return fused


class HRNet(nn.Module):
    def __init__(self, classes: int = 19, width: int = 18, depth: int = 4, modules: int = 4) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width]
        self.stem = nn.Sequential(conv_bn_relu(3, 64, 3, 2), conv_bn_relu(64, 64, 3, 2))
        self.a = conv_bn_relu(64, channels[0])
        self.b = conv_bn_relu(channels[0], channels[1], 3, 2)
        self.c = conv_bn_relu(channels[1], channels[2], 3, 2)
        self.stage = nn.ModuleList(Exchange(channels, depth) for _ in range(modules))
        self.head = nn.Sequential(conv_bn_relu(sum(channels), sum(channels), 1), nn.Conv2d(sum(channels), classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(self.stem(x))
        b = self.b(a)
        maps = [a, b, self.c(b)]
        for module in self.stage:
            maps = module(maps)
        size = a.shape[2:]
        up = [interpolate(each, size=size, mode="bilinear", align_corners=False) for each in maps[1:]]
        return self.head(torch.cat([maps[0], *up], dim=1))
