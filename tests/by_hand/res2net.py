"""Res2Net-50 (Gao et al., 2019), as the authors' code: the first block of a stage has no sums between its parts."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from tests.by_hand.resnet import conv_bn


class Bottle2neck(nn.Module):
    def __init__(self, channels: int, width: int, out: int, stride: int, *, first: bool) -> None:
        super().__init__()
        self.width, self.first = width, first
        self.conv1 = nn.Conv2d(channels, 4 * width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4 * width)
        steps = [(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)) for _ in range(3)]
        self.steps = nn.ModuleList(nn.Sequential(*each) for each in steps)
        self.pool = nn.AvgPool2d(3, stride, 1)
        self.conv3 = nn.Conv2d(4 * width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = conv_bn(channels, out, stride) if first else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        parts = torch.split(relu(self.bn1(self.conv1(x))), self.width, dim=1)
        done: list[Tensor] = []
        for part, step in zip(parts, self.steps, strict=False):
            done.append(relu(step(part if self.first or not done else part + done[-1])))
        done.append(self.pool(parts[3]) if self.first else parts[3])
        y = self.bn3(self.conv3(torch.cat(done, dim=1)))
        return relu(y + self.downsample(x))


class Res2Net50(nn.Module):
    def __init__(
        self,
        classes: int = 1000,
        channels: tuple[int, ...] = (64, 128, 256, 512),
        depths: tuple[int, ...] = (3, 4, 6, 3),
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        blocks, before = [], channels[0]
        for stage, (planes, depth) in enumerate(zip(channels, depths, strict=True)):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(Bottle2neck(before, int(planes * 26 / 64), 4 * planes, stride, first=index == 0))
                before = 4 * planes
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(relu(self.bn1(self.conv1(x))))
        return self.fc(self.blocks(x).mean(dim=(2, 3)))
