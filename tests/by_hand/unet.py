"""U-Net (Ronneberger et al., 2015): with the crops of the paper, or padded."""

import torch
from torch import Tensor, nn


class DoubleConv(nn.Sequential):
    def __init__(self, channels: int, out: int, padding: int) -> None:
        super().__init__(
            nn.Conv2d(channels, out, 3, padding=padding),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=padding),
            nn.ReLU(inplace=True),
        )


class Up(nn.Module):
    def __init__(self, channels: int, padding: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels // 2, kernel_size=2, stride=2)
        self.conv = DoubleConv(channels, channels // 2, padding)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        height, width = x.shape[2:]
        top, left = (skip.shape[2] - height) // 2, (skip.shape[3] - width) // 2
        skip = skip[:, :, top : top + height, left : left + width]
        return self.conv(torch.cat([skip, x], dim=1))


class UNet(nn.Module):
    def __init__(self, channels: int = 1, classes: int = 2, width: int = 64, padding: int = 0) -> None:
        super().__init__()
        self.inc = DoubleConv(channels, width, padding)
        self.downs = nn.ModuleList(DoubleConv(width * 2**i, width * 2 ** (i + 1), padding) for i in range(4))
        self.drop = nn.Dropout(0.5 if padding == 0 else 0.0)
        self.ups = nn.ModuleList(Up(width * 2 ** (i + 1), padding) for i in reversed(range(4)))
        self.outc = nn.Conv2d(width, classes, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inc(x)
        skips = []
        for down in self.downs:
            skips.append(x)
            x = down(self.pool(x))
        x = self.drop(x)
        for up in self.ups:
            x = up(x, skips.pop())
        return self.outc(x)


class PaddedUNet(UNet):
    def __init__(self, classes: int = 2, width: int = 64) -> None:
        super().__init__(3, classes, width, padding=1)
