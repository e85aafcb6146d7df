"""Attention to channels and positions in residual networks: CBAM (Woo et al., 2018), ECA (Wang et al., 2020)."""

import torch
from torch import Tensor, nn

from tests.by_hand.resnet import ResNet18


class ChannelAttention(nn.Module):
    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(channels, channels // reduction), nn.ReLU(), nn.Linear(channels // reduction, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        average = self.mlp(x.mean(dim=(2, 3)))
        maximum = self.mlp(x.amax(dim=(2, 3)))
        return x * torch.sigmoid(average + maximum)[:, :, None, None]


class SpatialAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        compressed = torch.cat([x.max(dim=1, keepdim=True).values, x.mean(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.bn(self.conv(compressed)))


class CBAM(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(ChannelAttention(channels), SpatialAttention())


class ECA(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size=3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weights = x.mean(dim=(2, 3))[:, None]  # (N, 1, C)
        weights = torch.sigmoid(self.conv(weights))
        return x * weights.transpose(1, 2).unsqueeze(3)


class CBAMResNet18(ResNet18):
    def __init__(self, **params) -> None:
        super().__init__(CBAM, **params)


class ECAResNet18(ResNet18):
    def __init__(self, **params) -> None:
        super().__init__(ECA, **params)
