"""FCN and DeepLabv3 over ResNet-50 (Long et al., 2015; Chen et al., 2017), with torchvision's names."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tests.by_hand.resnet import ResNet50


def resized(x: Tensor, size: torch.Size) -> Tensor:
    return interpolate(x, size=size, mode="bilinear", align_corners=False)


def unit(channels: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation if kernel == 3 else 0
    conv = nn.Conv2d(channels, 256, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(256), nn.ReLU())


class FCNHead(nn.Sequential):
    def __init__(self, channels: int, classes: int) -> None:
        inner = channels // 4
        conv = nn.Conv2d(channels, inner, 3, padding=1, bias=False)
        super().__init__(conv, nn.BatchNorm2d(inner), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(inner, classes, 1))


class ASPPPooling(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *unit(2048))

    def forward(self, x: Tensor) -> Tensor:
        return resized(super().forward(x), x.shape[2:])


class ASPP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([unit(2048), *(unit(2048, 3, rate) for rate in (12, 24, 36)), ASPPPooling()])
        self.project = nn.Sequential(*unit(5 * 256), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([conv(x) for conv in self.convs], dim=1))


class DeepLabHead(nn.Sequential):
    def __init__(self, classes: int) -> None:
        super().__init__(ASPP(), *unit(256, 3), nn.Conv2d(256, classes, 1))


class Segmentation(nn.Module):
    def __init__(self, classifier: nn.Module, classes: int) -> None:
        super().__init__()
        self.backbone = ResNet50(dilated=True)
        self.classifier = classifier
        self.aux_classifier = FCNHead(1024, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *_, middle, last = self.backbone(x)
        return resized(self.classifier(last), x.shape[2:]), resized(self.aux_classifier(middle), x.shape[2:])


class FCN(Segmentation):
    def __init__(self, classes: int = 21) -> None:
        super().__init__(FCNHead(2048, classes), classes)


class DeepLabV3(Segmentation):
    def __init__(self, classes: int = 21) -> None:
        super().__init__(DeepLabHead(classes), classes)
