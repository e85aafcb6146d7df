"""CSPDarknet with SPPF, the backbone of YOLOv5s (Wang et al., CSPNet, 2020)."""

import torch
from torch import Tensor, nn


class Conv(nn.Sequential):
    def __init__(self, channels: int, out: int, kernel: int = 1, stride: int = 1, padding: int | None = None) -> None:
        padding = kernel // 2 if padding is None else padding
        conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        super().__init__(conv, nn.BatchNorm2d(out, eps=1e-3, momentum=0.03), nn.SiLU())


class Bottleneck(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels)
        self.cv2 = Conv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x))


class C3(nn.Module):
    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        half = channels // 2
        self.cv1 = Conv(channels, half)
        self.m = nn.Sequential(*(Bottleneck(half) for _ in range(depth)))
        self.cv2 = Conv(channels, half)
        self.cv3 = Conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), dim=1))


class SPPF(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cv1 = Conv(channels, channels // 2)
        self.cv2 = Conv(2 * channels, channels)
        self.m = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.cv1(x)]
        for _ in range(3):
            maps.append(self.m(maps[-1]))
        return self.cv2(torch.cat(maps, dim=1))


class CSPDarknet(nn.Module):
    def __init__(self, width: int = 32, depths: tuple[int, ...] = (1, 2, 3, 1)) -> None:
        super().__init__()
        self.stem = Conv(3, width, 6, 2, 2)
        self.stages = nn.ModuleList()
        for depth in depths:
            self.stages.append(nn.Sequential(Conv(width, 2 * width, 3, 2), C3(2 * width, depth)))
            width *= 2
        self.sppf = SPPF(width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[1], maps[2], self.sppf(x)
