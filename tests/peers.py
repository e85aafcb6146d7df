"""The twelve networks as a careful engineer writes them by hand in torch: what a spec's module is compared with.

`PEERS` has one constructor for each spec in `specs/`, under the spec's name. Submodules are defined in the order in
which they are used, so the n-th parameter of a peer is the n-th parameter of the compiled module. A peer takes
`(N, C, H, W)`, where `INPUTS` has the C, H and W of each, and returns `(N, classes)`.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def lenet(padding: int = 2, pool: type[nn.Module] = nn.AvgPool2d, features: int = 400) -> nn.Sequential:
    """LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, with a plain classifier."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=padding), nn.Sigmoid(), pool(2, 2)),
        *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), pool(2, 2)),
        *(nn.Flatten(), nn.Linear(features, 120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )


def lenet_bn() -> nn.Sequential:
    """LeNet without padding and with batch norm before every sigmoid."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(nn.Flatten(), nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.Sigmoid(), nn.Linear(84, 10)),
    )


def classifier(features: int) -> nn.Sequential:
    """The two wide layers that AlexNet and VGG end in, from `features` to 10 classes."""
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(features, 4096), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4096, 10)),
    )


def alexnet() -> nn.Sequential:
    """Krizhevsky, Sutskever and Hinton, 2012, on one GPU and without local response normalisation."""
    return nn.Sequential(
        *(nn.Conv2d(1, 96, 11, stride=4, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        classifier(6400),
    )


def vgg11(ratio: int = 1) -> nn.Sequential:
    """Simonyan and Zisserman, 2014, configuration A; every convolution's width divided by `ratio`."""
    layers: list[nn.Module] = []
    channels = 1
    for convs, full in [(1, 64), (1, 128), (2, 256), (2, 512), (2, 512)]:
        for _ in range(convs):
            layers += [nn.Conv2d(channels, full // ratio, 3, padding=1), nn.ReLU()]
            channels = full // ratio
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers, classifier(channels * 7 * 7))


def nin_block(channels: int, out: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(channels, out, kernel, stride, padding), nn.ReLU()),
        *(nn.Conv2d(out, out, 1), nn.ReLU(), nn.Conv2d(out, out, 1), nn.ReLU()),
    )


def nin() -> nn.Sequential:
    """Lin, Chen and Yan, Network in Network, 2013."""
    return nn.Sequential(
        *(nin_block(1, 96, 11, 4, 0), nn.MaxPool2d(3, 2)),
        *(nin_block(96, 256, 5, 1, 2), nn.MaxPool2d(3, 2)),
        *(nin_block(256, 384, 3, 1, 1), nn.MaxPool2d(3, 2), nn.Dropout(0.5)),
        *(nin_block(384, 10, 3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


class Inception(nn.Module):
    """Four paths over one input, concatenated: 1×1; 1×1 and 3×3; 1×1 and 5×5; pool and 1×1."""

    def __init__(self, channels: int, c1: int, c2: tuple[int, int], c3: tuple[int, int], c4: int) -> None:
        super().__init__()
        self.p1_1 = nn.Conv2d(channels, c1, 1)
        self.p2_1 = nn.Conv2d(channels, c2[0], 1)
        self.p2_2 = nn.Conv2d(c2[0], c2[1], 3, padding=1)
        self.p3_1 = nn.Conv2d(channels, c3[0], 1)
        self.p3_2 = nn.Conv2d(c3[0], c3[1], 5, padding=2)
        self.p4_1 = nn.MaxPool2d(3, 1, padding=1)
        self.p4_2 = nn.Conv2d(channels, c4, 1)

    def forward(self, x: Tensor) -> Tensor:
        p1 = F.relu(self.p1_1(x))
        p2 = F.relu(self.p2_2(F.relu(self.p2_1(x))))
        p3 = F.relu(self.p3_2(F.relu(self.p3_1(x))))
        p4 = F.relu(self.p4_2(self.p4_1(x)))
        return torch.cat([p1, p2, p3, p4], dim=1)


def googlenet() -> nn.Sequential:
    """Szegedy et al., Going Deeper with Convolutions, 2014, without the auxiliary heads."""
    pool = partial(nn.MaxPool2d, 3, 2, padding=1)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 64, 7, stride=2, padding=3), nn.ReLU(), pool()),
        nn.Sequential(nn.Conv2d(64, 64, 1), nn.ReLU(), nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(), pool()),
        nn.Sequential(
            Inception(192, 64, (96, 128), (16, 32), 32),
            Inception(256, 128, (128, 192), (32, 96), 64),
            pool(),
        ),
        nn.Sequential(
            Inception(480, 192, (96, 208), (16, 48), 64),
            Inception(512, 160, (112, 224), (24, 64), 64),
            Inception(512, 128, (128, 256), (24, 64), 64),
            Inception(512, 112, (144, 288), (32, 64), 64),
            Inception(528, 256, (160, 320), (32, 128), 128),
            pool(),
        ),
        nn.Sequential(
            Inception(832, 256, (160, 320), (32, 128), 128),
            Inception(832, 384, (192, 384), (48, 128), 128),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ),
        nn.Linear(1024, 10),
    )


def stem(channels: int, bias: bool = True) -> list[nn.Module]:
    """What residual and dense networks begin with: to 64 channels and a quarter of the height and width."""
    return [
        nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=bias),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
    ]


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut, which is a 1×1 convolution where shapes change."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Conv2d(channels, out, 1, stride) if stride != 1 or channels != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


def resnet18() -> nn.Sequential:
    """He et al., Deep Residual Learning, 2015, with biased convolutions and bare shortcuts."""
    layers = stem(1)
    channels = 64
    for out in [64, 128, 256, 512]:
        layers += [Residual(channels, out, 1 if out == 64 else 2), Residual(out, out)]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class Bottleneck(nn.Module):
    """1×1, 3×3 (which takes the stride) and 1×1 to four times the width, beside a normalised shortcut."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.downsample(x))


def resnet152() -> nn.Sequential:
    """He et al., 2015, as the checkpoints in use have it: stride on the 3×3, 3 channels, 1000 classes."""
    layers = stem(3, bias=False)
    channels = 64
    for width, count in [(64, 3), (128, 8), (256, 36), (512, 3)]:
        for i in range(count):
            layers.append(Bottleneck(channels, width, 2 if i == 0 and width != 64 else 1))
            channels = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


class DenseBlock(nn.Module):
    """Layers that each see what all before them made: `growth` channels more from each."""

    def __init__(self, channels: int, count: int, growth: int, layer: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([layer(channels + i * growth, growth) for i in range(count)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


def dense_layer(channels: int, growth: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1))


def bottleneck_layer(channels: int, growth: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 4 * growth, 1),
        nn.BatchNorm2d(4 * growth),
        nn.ReLU(),
        nn.Conv2d(4 * growth, growth, 3, padding=1),
        nn.Dropout(0.5),
    )


def transition(channels: int, pool: nn.Module) -> list[nn.Module]:
    """Half the channels, height and width."""
    return [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1), pool]


def densenet() -> nn.Sequential:
    """Huang et al., Densely Connected Convolutional Networks, 2016, four blocks of four plain layers."""
    layers = stem(1)
    for channels in [64, 96, 112]:
        layers += [DenseBlock(channels, 4, 32, dense_layer), *transition(channels + 128, nn.AvgPool2d(2, 2))]
    layers += [DenseBlock(120, 4, 32, dense_layer), nn.BatchNorm2d(248), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(248, 10))


def densenet_bottleneck() -> nn.Sequential:
    """The bottleneck DenseNet as TensorFlow pads it: `same`, which on even sizes adds more at the bottom and right."""
    layers: list[nn.Module] = [
        nn.ZeroPad2d((2, 3, 2, 3)),  # 96 → 48: a kernel of 7 at stride 2 wants 5 more
        nn.Conv2d(1, 64, 7, stride=2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConstantPad2d((0, 1, 0, 1), -torch.inf),  # 48 → 24: a kernel of 3 at stride 2 wants 1 more
        nn.MaxPool2d(3, 2),
    ]
    for channels in [64, 96, 112]:
        layers += [DenseBlock(channels, 4, 32, bottleneck_layer), *transition(channels + 128, nn.MaxPool2d(2, 2))]
    layers += [DenseBlock(120, 4, 32, bottleneck_layer), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(248, 10), nn.Softmax(dim=1))


PEERS: dict[str, Callable[[], nn.Module]] = {
    "lenet": lenet,
    "lenet_max": partial(lenet, padding=0, pool=nn.MaxPool2d, features=256),
    "lenet_bn": lenet_bn,
    "alexnet": alexnet,
    "vgg11": vgg11,
    "vgg11_small": partial(vgg11, ratio=4),
    "nin": nin,
    "googlenet": googlenet,
    "resnet18": resnet18,
    "resnet152": resnet152,
    "densenet": densenet,
    "densenet_bottleneck": densenet_bottleneck,
}

INPUTS: dict[str, tuple[int, int, int]] = {
    **dict.fromkeys(("lenet", "lenet_max", "lenet_bn"), (1, 28, 28)),
    **dict.fromkeys(("alexnet", "vgg11", "vgg11_small", "nin", "resnet18"), (1, 224, 224)),
    **dict.fromkeys(("googlenet", "densenet", "densenet_bottleneck"), (1, 96, 96)),
    "resnet152": (3, 224, 224),
}


def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Give `target` the weights and running statistics of `source`, matched by their order of definition."""
    values = list(source.state_dict().values())
    target.load_state_dict(dict(zip(target.state_dict(), values, strict=True)))
