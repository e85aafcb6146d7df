"""ResNet's blocks (He et al., 2016) and the features of ResNet-50, with torchvision's names."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import relu


def conv_bn(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))


class BasicBlock(nn.Module):
    """The block of ResNet-18; `attend` makes a module that is applied before the sum."""

    def __init__(self, channels: int, out: int, stride: int, attend: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.attention = attend(out)
        self.downsample = conv_bn(channels, out, stride) if stride != 1 or channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = self.attention(self.bn2(self.conv2(y)))
        return relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = conv_bn(channels, out, stride) if stride != 1 or channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return relu(self.bn3(self.conv3(y)) + self.downsample(x))


class ResNet50(nn.Module):
    """The maps after the four stages; with `dilated`, the last two stages keep the size of the second."""

    def __init__(self, width: int = 64, depths: tuple[int, ...] = (3, 4, 6, 3), *, dilated: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels, self.dilation = width, 1
        self.layer1 = self._layer(width, depths[0], 1, dilated=False)
        self.layer2 = self._layer(2 * width, depths[1], 2, dilated=False)
        self.layer3 = self._layer(4 * width, depths[2], 2, dilated=dilated)
        self.layer4 = self._layer(8 * width, depths[3], 2, dilated=dilated)

    def _layer(self, width: int, depth: int, stride: int, *, dilated: bool) -> nn.Sequential:
        first = self.dilation
        if dilated:
            self.dilation *= stride
            stride = 1
        blocks = [Bottleneck(self.channels, width, stride, first)]
        blocks += [Bottleneck(4 * width, width, 1, self.dilation) for _ in range(depth - 1)]
        self.channels = 4 * width
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.maxpool(relu(self.bn1(self.conv1(x))))
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps


class ResNet18(nn.Module):
    """ResNet-18 with attention in each block."""

    def __init__(
        self, attend: Callable[[int], nn.Module], classes: int = 1000, widths: tuple[int, ...] = (64, 128, 256, 512)
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        layers, channels = [], widths[0]
        for index, width in enumerate(widths):
            layers.append(BasicBlock(channels, width, 1 if index == 0 else 2, attend))
            layers.append(BasicBlock(width, width, 1, attend))
            channels = width
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(relu(self.bn1(self.conv1(x))))
        return self.fc(self.layers(x).mean(dim=(2, 3)))
