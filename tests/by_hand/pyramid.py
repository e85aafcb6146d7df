"""A feature pyramid network (Lin et al., 2017) and RetinaNet (Lin et al., 2017) over ResNet-50."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from tests.by_hand.resnet import ResNet50


class FPN(nn.Module):
    """`levels` maps of `out` channels, fine to coarse."""

    def __init__(
        self, width: int = 64, out: int = 256, depths: tuple[int, ...] = (3, 4, 6, 3), levels: int = 4
    ) -> None:
        super().__init__()
        self.body = ResNet50(width, depths)
        channels = [4 * width * 2**i for i in range(4)][-levels:]
        self.lateral = nn.ModuleList(nn.Conv2d(each, out, 1) for each in reversed(channels))  # coarse to fine
        self.smooth = nn.ModuleList(nn.Conv2d(out, out, 3, padding=1) for _ in channels)  # fine to coarse

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.body(x)
        merged: list[Tensor] = []
        for lateral in self.lateral:
            top = lateral(maps.pop())
            if merged:
                top = top + interpolate(merged[0], size=top.shape[2:], mode="nearest")
            merged.insert(0, top)
        return [smooth(each) for smooth, each in zip(self.smooth, merged, strict=True)]


class Tower(nn.Sequential):
    def __init__(self, channels: int, out: int, convs: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(convs):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(channels, out, 3, padding=1))


class RetinaNet(nn.Module):
    def __init__(
        self,
        classes: int = 91,
        anchors: int = 9,
        width: int = 64,
        out: int = 256,
        depths: tuple[int, ...] = (3, 4, 6, 3),
        convs: int = 4,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.fpn = FPN(width, out, depths, levels=3)
        self.p6 = nn.Conv2d(out, out, 3, stride=2, padding=1)
        self.p7 = nn.Conv2d(out, out, 3, stride=2, padding=1)
        self.classification = Tower(out, anchors * classes, convs)
        self.regression = Tower(out, anchors * 4, convs)

    def predict(self, tower: nn.Module, x: Tensor) -> Tensor:
        """The values of all anchors, (N, positions x anchors, values)."""
        y = tower(x)
        batch, _, height, width = y.shape
        y = y.view(batch, self.anchors, -1, height, width)
        return y.permute(0, 3, 4, 1, 2).reshape(batch, height * width * self.anchors, -1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = self.fpn(x)
        maps.append(self.p6(maps[-1]))
        maps.append(self.p7(relu(maps[-1])))
        towers = (self.classification, self.regression)
        return tuple(torch.cat([self.predict(tower, each) for each in maps], dim=1) for tower in towers)
