"""Networks that make pictures: ESPCN (Shi et al., 2016) and the generator of DCGAN (Radford et al., 2016)."""

import torch
from torch import Tensor, nn


class ESPCN(nn.Module):
    def __init__(self, factor: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 5, padding=2)
        self.conv2 = nn.Conv2d(64, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, factor**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.conv1(x))
        x = torch.tanh(self.conv2(x))
        return self.shuffle(self.conv3(x))


class Generator(nn.Module):
    def __init__(self, width: int = 64, noise: int = 100) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for out, stride, padding in [(8, 1, 0), (4, 2, 1), (2, 2, 1), (1, 2, 1)]:
            layers.append(nn.ConvTranspose2d(noise, out * width, 4, stride, padding, bias=False))
            layers += [nn.BatchNorm2d(out * width), nn.ReLU(inplace=True)]
            noise = out * width
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(noise, 3, 4, 2, 1, bias=False), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)
