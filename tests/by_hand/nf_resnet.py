"""A residual network without normalisation (Brock et al., 2021), of convolutions with standardised weights."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

GAMMA = 1.7139588594436646  # makes the variance of relu's output 1


class ScaledStdConv2d(nn.Module):
    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(out, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out))
        self.weight = nn.Parameter(torch.randn(out, channels, kernel, kernel))
        self.stride, self.padding = stride, kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, unbiased=False)
        fan_in = self.weight[0].numel()
        weight = self.gain * fan_in**-0.5 * (self.weight - mean) / torch.sqrt(variance + 1e-6)
        return conv2d(x, weight, self.bias, self.stride, self.padding)


class Block(nn.Module):
    def __init__(self, channels: int, out: int, stride: int, alpha: float, variance: float) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, variance**-0.5
        self.pool = nn.AvgPool2d(2) if stride == 2 else nn.Identity()
        self.shortcut = ScaledStdConv2d(channels, out, 1) if stride != 1 or channels != out else None
        self.conv1 = ScaledStdConv2d(channels, out // 4, 1)
        self.conv2 = ScaledStdConv2d(out // 4, out // 4, 3, stride)
        self.conv3 = ScaledStdConv2d(out // 4, out, 1)
        self.skip_gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        y = GAMMA * relu(x) * self.beta
        if self.shortcut is not None:
            x = self.shortcut(self.pool(y))
        y = GAMMA * relu(self.conv1(y))
        y = GAMMA * relu(self.conv2(y))
        return x + self.skip_gain * self.alpha * self.conv3(y)


class NFResNet(nn.Module):
    def __init__(
        self,
        classes: int = 1000,
        widths: tuple[int, ...] = (256, 512, 1024, 2048),
        depths: tuple[int, ...] = (3, 4, 6, 3),
        alpha: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem = ScaledStdConv2d(3, 64, 7, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        blocks, channels = [], 64
        for stage, (out, depth) in enumerate(zip(widths, depths, strict=True)):
            for index in range(depth):
                stride = 2 if index == 0 and stage > 0 else 1
                blocks.append(Block(channels, out, stride, alpha, 1 + index * alpha**2))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = GAMMA * relu(self.blocks(self.pool(self.stem(x))))
        return self.fc(x.mean(dim=(2, 3)))
